//! `lubu audit`: the journal, read without the daemon.

use std::ops::ControlFlow;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use lubu::store::embedded::audit;

use super::{Common, Done};

#[derive(Debug, Args)]
pub struct Audit {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// 核对整条日志链 Check the whole chain, and name the first broken entry
    Verify,
    /// 逐条列出 List the entries
    List {
        /// 从哪个序号起 From this sequence on
        #[arg(long, default_value_t = 1)]
        from: u64,
    },
}

impl Audit {
    pub fn run(&self, common: &Common) -> Done {
        let config = common.load()?;
        match self.what {
            What::Verify => Ok(verify(&config.daemon.data)),
            What::List { from } => list(&config.daemon.data, from, common.json),
        }
    }
}

fn verify(data: &std::path::Path) -> ExitCode {
    match audit::verify(data) {
        Ok(verified) => {
            println!("日志完整：{verified:?}");
            ExitCode::SUCCESS
        }
        Err(broken) => {
            eprintln!("failed to {broken}");
            ExitCode::FAILURE
        }
    }
}

fn list(data: &std::path::Path, from: u64, json: bool) -> Done {
    audit::entries(data, from, &mut |stamp, header| {
        let at = lubu_channels::Timestamp::from_timestamp_millis(stamp.time_ms).unwrap_or_default();
        let at = lubu::service::view::time(at);
        if json {
            let line = serde_json::json!({
                "sequence": stamp.sequence.to_string(), "at": at, "who": header.who,
                "from": header.from, "what": header.what, "item": header.item,
                "delivery": header.delivery, "outcome": header.outcome,
            });
            println!("{line}");
        } else {
            let part = |text: &Option<String>| text.clone().unwrap_or_default();
            println!(
                "{:>8}  {at}  {} {} {} {} {} {}",
                stamp.sequence,
                header.from,
                header.who,
                header.what,
                part(&header.item),
                part(&header.delivery),
                part(&header.outcome)
            );
        }
        ControlFlow::Continue(())
    })?;
    Ok(ExitCode::SUCCESS)
}
