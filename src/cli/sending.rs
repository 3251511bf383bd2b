//! `lubu stop-sending`, `lubu resume-sending`, `lubu confirm-clock`.

use std::process::ExitCode;

use clap::Args;
use lubu::http::api::ByBody;
use lubu::service::view::HaltView;
use serde::{Deserialize, Serialize};

use super::client::Daemon;
use super::{Common, Done, me, print_json};

#[derive(Debug, Args)]
pub struct Stop {
    /// 为什么 Why
    #[arg(long)]
    reason: String,
    /// 谁下令 Who orders it [default: $USER]
    #[arg(long)]
    by: Option<String>,
}

#[derive(Debug, Args)]
pub struct By {
    /// 谁 Who [default: $USER]
    #[arg(long)]
    by: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Sending {
    pub sending: bool,
    pub halts: Vec<HaltView>,
}

impl Stop {
    pub async fn run(self, common: &Common) -> Done {
        order(common, "/v1/sending/stop", self.by, self.reason).await
    }
}

impl By {
    pub async fn resume(self, common: &Common) -> Done {
        order(common, "/v1/sending/resume", self.by, String::new()).await
    }

    pub async fn clock(self, common: &Common) -> Done {
        order(common, "/v1/clock/confirm", self.by, String::new()).await
    }
}

async fn order(common: &Common, path: &str, by: Option<String>, reason: String) -> Done {
    let by = by.unwrap_or_else(me);
    let until = None;
    let body = ByBody { by, reason, until };
    let sending: Sending = Daemon::new(common)?.post(path, &body).await?;
    if common.json {
        print_json(&sending)?;
    } else if sending.sending {
        println!("● 正常发送");
    } else {
        for line in lines(&sending) {
            println!("{line}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What stands above every table while nothing is sent.
pub fn lines(sending: &Sending) -> Vec<String> {
    let line = |halt: &HaltView| format!("■ 停发中（撤下和核对照常）：{}", halt.reason);
    sending.halts.iter().map(line).collect()
}
