//! `lubu serve`.

use std::process::ExitCode;

use lubu::config::UNNAMED;
use lubu::{daemon, telemetry};

use super::{Common, Done};

pub async fn run(common: &Common) -> Done {
    let config = common.load()?;
    telemetry::logs(config.daemon.log);
    if config.office.name == UNNAMED {
        tracing::warn!("[office] name is not set: pages will say {UNNAMED}");
    }
    let told = daemon::told_to_stop();
    tokio::pin!(told);
    // Opening is cut off where it stands: every point of it is one that a kill may choose, too.
    let daemon = tokio::select! {
        started = daemon::start(config) => started?,
        told = &mut told => {
            told?;
            tracing::info!("stopping, before it was ready");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let door = daemon
        .address
        .map_or_else(|| "the socket alone".into(), |at| format!("http://{at}"));
    tracing::info!("ready; listening on {door}");
    // Without systemd there is nobody to tell.
    let _nobody = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    told.await?;
    tracing::info!("stopping");
    let _nobody = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    daemon.stop().await;
    Ok(ExitCode::SUCCESS)
}
