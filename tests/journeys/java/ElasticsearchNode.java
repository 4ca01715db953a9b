import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.http.HttpServerTransport;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

public final class ElasticsearchNode {
    public static void main(String[] a) throws Exception {   // args: home-dir data-dir port
        Path home = Path.of(a[0]).toAbsolutePath(), data = Path.of(a[1]).toAbsolutePath();
        LogConfigurator.configureESLogging();
        var env = InternalSettingsPreparer.prepareEnvironment(Settings.builder()
            .put("path.home", home.toString()).put("path.data", data.toString()).put("path.logs", data.resolve("logs").toString())
            .put("cluster.name", "test").put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1").put("http.port", a[2]).put("transport.port", "0")
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .put("node.processors", 2).build(), Map.of(), null, () -> "test-node");
        var loader = PluginsLoader.createPluginsLoader(PluginsLoader.loadModulesBundles(env.modulesDir()),
            PluginsLoader.loadPluginsBundles(env.pluginsDir()), Map.of(), false);
        Node node = new Node(env, loader);
        node.start();
        var address = node.injector().getInstance(HttpServerTransport.class).boundAddress().publishAddress();
        System.out.println("READY http://127.0.0.1:" + address.getPort());
        System.in.transferTo(OutputStream.nullOutputStream());  // parent closes stdin -> stop
        node.close();
        System.exit(0);
    }
}
