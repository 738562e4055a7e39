//! A zenoh router that carries ROS 2 topics between DDS and zenoh: what the released program
//! `zenoh-bridge-ros2dds` is, which is not on crates.io. Its argument is a configuration file of
//! zenoh's.

use zenoh::Config;
use zenoh::internal::plugins::PluginsManager;
use zenoh::internal::runtime::RuntimeBuilder;
use zenoh_plugin_ros2dds::ROS2Plugin;

#[tokio::main]
async fn main() -> zenoh::Result<()> {
    zenoh::init_log_from_env_or("warn");
    let file = std::env::args().nth(1).ok_or("expected a configuration file of zenoh's")?;
    let mut plugins = PluginsManager::static_plugins_only();
    plugins.declare_static_plugin::<ROS2Plugin, _>("ros2dds", true);
    let builder = RuntimeBuilder::new(Config::from_file(file)?).plugins_manager(plugins);
    let mut runtime = builder.build().await?;
    runtime.start().await?;
    tokio::signal::ctrl_c().await?;
    // Closing the runtime under the plugin makes it panic: as the released program does, it ends.
    std::process::exit(0)
}
