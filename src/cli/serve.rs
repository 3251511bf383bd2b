//! `lubu serve`.

use std::process::ExitCode;
use std::sync::Arc;

use lubu::config::UNNAMED;
use lubu::supervisor::Supervisor;
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
    let supervisor = Arc::new(Supervisor::of(|name| std::env::var_os(name)));
    let told = daemon::told_to_stop();
    tokio::pin!(told);
    // Opening is cut off where it stands: every point of it is one that a kill may choose, too.
    let daemon = tokio::select! {
        started = daemon::start_under(config, Arc::clone(&supervisor)) => started?,
        told = &mut told => {
            told?;
            tracing::info!("stopping, before it was ready");
            supervisor.say(&["STOPPING=1"]);
            return Ok(ExitCode::SUCCESS);
        }
    };
    let door = daemon
        .address
        .map_or_else(|| "the socket alone".into(), |at| format!("http://{at}"));
    tracing::info!("ready; listening on {door}");
    supervisor.say(&["READY=1", "STATUS=就绪 ready"]);
    let alive = daemon.alive(Arc::clone(&supervisor));
    tokio::pin!(alive);
    loop {
        tokio::select! {
            told = &mut told => break told?,
            Some(()) = hangups.recv() => daemon.reload(),
            // Says so until the end; a runtime that stands still says nothing.
            () = &mut alive => break,
        }
    }
    tracing::info!("stopping");
    supervisor.say(&["STOPPING=1", "STATUS=正在停止 stopping"]);
    daemon.stop().await;
    Ok(ExitCode::SUCCESS)
}
