//! `lubu serve`.

use std::process::ExitCode;

use lubu::config::UNNAMED;
use lubu::{daemon, telemetry};
use tokio::signal::unix::{SignalKind, signal};

use super::{Common, Done};

pub async fn run(common: &Common) -> Done {
    let config = common.load()?;
    // Before anything else: by default it would end the process.
    let mut hangups = signal(SignalKind::hangup())?;
    telemetry::logs(config.daemon.log);
    if config.office.name == UNNAMED {
        tracing::warn!("[office] name is not set: pages will say {UNNAMED}");
    }
    let daemon = daemon::start(config).await?;
    let door = daemon
        .address
        .map_or_else(|| "the socket alone".into(), |at| format!("http://{at}"));
    tracing::info!("ready; listening on {door}");
    // Without systemd there is nobody to tell.
    let _nobody = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let stop = daemon::told_to_stop();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            told = &mut stop => break told?,
            Some(()) = hangups.recv() => daemon.reload(),
        }
    }
    tracing::info!("stopping");
    let _nobody = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    daemon.stop().await;
    Ok(ExitCode::SUCCESS)
}
