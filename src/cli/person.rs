//! `lubu retry`, `lubu confirm`, `lubu withdraw`: what a person decides.

use std::process::ExitCode;

use clap::Args;
use lubu::http::api::{ByBody, ConfirmBody, WithdrawBody};
use lubu::service::view::ShowView;

use super::client::{Daemon, segment};
use super::{Common, Done, me, print_json, show};

#[derive(Debug, Args)]
pub struct Retry {
    /// 投递编号 ITEM:CHANNEL
    delivery: String,
    /// 谁 Who [default: $USER]
    #[arg(long)]
    by: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false, id = "seen")]
pub struct Saw {
    /// 已发布，读者可见的地址 It is published, at this address
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "")]
    published: Option<String>,
    /// 平台上没有 It is not there
    #[arg(long)]
    absent: bool,
}

#[derive(Debug, Args)]
pub struct Confirm {
    /// 投递编号 ITEM:CHANNEL
    delivery: String,
    #[command(flatten)]
    saw: Saw,
    /// 谁核实的 Who saw it [default: $USER]
    #[arg(long)]
    by: Option<String>,
}

#[derive(Debug, Args)]
pub struct Withdraw {
    /// 信息编号 The item
    item: String,
    /// 理由，会公开 The reason; readers see it
    #[arg(long)]
    reason: String,
    /// 谁决定的 Who decided [default: $USER]
    #[arg(long)]
    by: Option<String>,
}

impl Retry {
    pub async fn run(self, common: &Common) -> Done {
        let daemon = Daemon::new(common)?;
        let by = self.by.unwrap_or_else(me);
        let body = ByBody {
            by,
            reason: String::new(),
            until: None,
        };
        let path = format!("/v1/deliveries/{}/retry", segment(&self.delivery));
        tell(common, &daemon.post(&path, &body).await?)
    }
}

impl Confirm {
    pub async fn run(self, common: &Common) -> Done {
        let daemon = Daemon::new(common)?;
        let body = ConfirmBody {
            by: self.by.unwrap_or_else(me),
            published: !self.saw.absent,
            url: self.saw.published,
        };
        let path = format!("/v1/deliveries/{}/confirm", segment(&self.delivery));
        tell(common, &daemon.post(&path, &body).await?)
    }
}

impl Withdraw {
    pub async fn run(self, common: &Common) -> Done {
        let daemon = Daemon::new(common)?;
        let body = WithdrawBody {
            by: self.by.unwrap_or_else(me),
            reason: self.reason,
        };
        let path = format!("/v1/items/{}/withdrawal", segment(&self.item));
        tell(common, &daemon.post(&path, &body).await?)
    }
}

fn tell(common: &Common, show: &ShowView) -> Done {
    if common.json {
        print_json(show)?;
    } else {
        show::print(show);
    }
    Ok(ExitCode::SUCCESS)
}
