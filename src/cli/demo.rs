//! `lubu demo`.
use std::process::ExitCode;

use clap::Args;

use super::Done;

#[derive(Debug, Args)]
pub struct Demo {
    /// 全部发布后退出 Exit when all is published
    #[arg(long)]
    once: bool,
}

impl Demo {
    #[expect(clippy::unused_async, reason = "the demo is long")]
    pub async fn run(&self) -> Done {
        Ok(ExitCode::SUCCESS)
    }
}
