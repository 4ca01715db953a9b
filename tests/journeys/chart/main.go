// Renders a chart by the packages of helm itself, as "helm lint --strict" and "helm template" do, without the parts of
// helm that talk to a cluster or a registry: those take most of the time to compile it.
//
//	chart CHART KUBERNETES_VERSION VALUES_FILE [NAME=VALUE...]
//
// Standard output gets the manifests. Standard error gets what is wrong, and the exit code is 1.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"helm.sh/helm/v3/pkg/strvals"
)

const release, namespace = "lab", "metrics"

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: chart CHART KUBERNETES_VERSION VALUES_FILE [NAME=VALUE...]")
		os.Exit(2)
	}
	rendered, err := render(os.Args[1], os.Args[2], os.Args[3], os.Args[4:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Print(rendered)
}

func render(path, kubernetes, file string, sets []string) (string, error) {
	values, err := chartutil.ReadValuesFile(file)
	if err != nil {
		return "", err
	}
	for _, set := range sets {
		if err := strvals.ParseInto(set, values); err != nil {
			return "", err
		}
	}
	version, err := chartutil.ParseKubeVersion(kubernetes)
	if err != nil {
		return "", err
	}
	if err := linted(path, values, version); err != nil {
		return "", err
	}
	found, err := loader.Load(path)
	if err != nil {
		return "", err
	}
	if !chartutil.IsCompatibleRange(found.Metadata.KubeVersion, version.String()) {
		return "", fmt.Errorf("chart requires kubeVersion %s, not %s", found.Metadata.KubeVersion, version)
	}
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = *version
	options := chartutil.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	given, err := chartutil.ToRenderValues(found, values, options, capabilities)
	if err != nil {
		return "", err
	}
	files, err := engine.Engine{Strict: true}.Render(found, given)
	if err != nil {
		return "", err
	}
	return joined(files), nil
}

func linted(path string, values map[string]any, version *chartutil.KubeVersion) error {
	for _, message := range lint.AllWithKubeVersion(path, values, namespace, version).Messages {
		if message.Severity >= support.WarningSev {
			return message
		}
	}
	return nil
}

func joined(files map[string]string) string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	var text strings.Builder
	for _, name := range names {
		if strings.HasSuffix(name, ".yaml") {
			fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", name, files[name])
		} else {
			fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", name, "# "+strings.ReplaceAll(files[name], "\n", "\n# "))
		}
	}
	return text.String()
}
