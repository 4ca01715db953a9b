"""Files of templates in Alertmanager's configuration, which are not rendered: said at load, with their places."""

from pathlib import Path

import pytest

from nissa.config.alertmanager_file import read_alertmanager_file
from nissa.config.alertmanager_templates import FILES_MAX
from nissa.model.errors import ConfigInvalid

TEXTS = """{{/* ours */}}
{{ define "team.title" }}[{{ .Status }}]{{ end }}

{{- define `slack.default.text` -}}x{{ end }}{{ block "b" . }}{{ end }}
"""


def written(folder: Path, more: str = "", templates: str = "[texts/*.tmpl]") -> Path:
    """A configuration with a file of templates."""
    (folder / "texts").mkdir(exist_ok=True)
    (folder / "texts" / "a.tmpl").write_text(TEXTS)
    path = folder / "am.yml"
    path.write_text(
        f"route: {{receiver: r}}\ntemplates: {templates}\nreceivers:\n"
        f"  - name: r\n    slack_configs:\n      - {{api_url: 'http://127.0.0.1/', channel: x{more}}}\n"
    )
    return path


@pytest.mark.parametrize("templates", ["[texts/*.tmpl]", "[FOLDER/texts/a.tmpl]", "texts/a.tmpl"])
def test_what_is_not_rendered_is_said(tmp_path: Path, templates: str) -> None:
    """The warning names file and line of the list, and of each text that a file defines."""
    path = written(tmp_path, templates=templates.replace("FOLDER", str(tmp_path)))
    (warning,) = read_alertmanager_file(path).warnings
    file = tmp_path / "texts" / "a.tmpl"
    assert warning.startswith(f"{path}, line 2: templates[0]: ")
    for name, line in (("team.title", 2), ("slack.default.text", 4), ("b", 4)):
        assert f"'{name}' ({file}, line {line})" in warning


def test_a_receiver_that_includes_one_is_refused(tmp_path: Path) -> None:
    """Also under a name of Alertmanager's own, which the file has changed; such a name by itself is the default."""
    for name, line in (("team.title", 2), ("slack.default.text", 4)):
        path = written(tmp_path, f", text: 'a {{{{ template \"{name}\" . }}}}'")
        with pytest.raises(ConfigInvalid) as refused:
            read_alertmanager_file(path)
        place = f"{path}, line 6: receivers[0].slack_configs[0].text: "
        assert str(refused.value).startswith(f"{place}the template '{name}' of {tmp_path}/texts/a.tmpl, line {line} ")
    read_alertmanager_file(written(tmp_path, ", text: '{{ template \"slack.default.title\" . }}'"))


def test_patterns_without_a_file_and_with_too_many(tmp_path: Path) -> None:
    """The first is a warning, as it is no fault of Alertmanager's; the number is bounded."""
    (warning,) = read_alertmanager_file(written(tmp_path, templates="[none/*.tmpl]")).warnings
    assert warning.endswith("it matches no file")
    for number in range(FILES_MAX):
        (tmp_path / "texts" / f"{number}.tmpl").touch()
    with pytest.raises(ConfigInvalid, match=r"am\.yml, line 2: templates\[0\]: .* match over 100 files"):
        read_alertmanager_file(written(tmp_path))
    with pytest.raises(ConfigInvalid, match=r"line 2: templates: expected a list of files"):
        read_alertmanager_file(written(tmp_path, templates="{a: b}"))
