//! `lubu submit` and `lubu revise`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use lubu::intake::Submission;
use lubu::service::view::FindingView;
use lubu_channels::Words;
use serde::{Deserialize, Serialize};

use super::client::{Daemon, Upload, segment};
use super::{Common, Done, Failed, me, print_json};

#[derive(Debug, Args)]
pub struct Submit {
    /// 稿件：.md、.html、.txt 文件，或装有正文、图片和附件的文件夹 Texts, or folders with a text and what it names
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// 拟稿人 Who drafted it [default: $USER]
    #[arg(long)]
    by: Option<String>,
    /// 内容相同也再收一次 Take it though the same content is here already
    #[arg(long)]
    again: bool,
    /// 幂等键，重复提交时返回同一条 Idempotency key
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

#[derive(Debug, Args)]
pub struct Revise {
    /// 信息编号 The item
    item: String,
    /// 新版稿件 The new text, or folder
    path: PathBuf,
    /// 更正说明：改了什么 What the correction changes
    #[arg(long, default_value = "")]
    note: String,
    /// 拟稿人 Who drafted it [default: $USER]
    #[arg(long)]
    by: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Taken {
    pub id: String,
    pub item: String,
    pub revision: u32,
    pub index_no: Option<String>,
    pub known: bool,
    pub findings: Vec<FindingView>,
    pub notes: Vec<Words>,
}

impl Submit {
    pub async fn run(&self, common: &Common) -> Done {
        if self.key.is_some() && self.paths.len() > 1 {
            return Err(Failed::No(
                "--key 只能与一份稿件一起用。\n--key goes with one PATH alone.".to_owned(),
            ));
        }
        let daemon = Daemon::new(common)?;
        let by = self.by.clone().unwrap_or_else(me);
        let mut all = Vec::new();
        let mut failed = false;
        for path in &self.paths {
            let query = query(&[
                ("by", &by),
                ("again", if self.again { "true" } else { "false" }),
            ]);
            match upload(
                &daemon,
                &format!("/v1/items?{query}"),
                self.key.as_deref(),
                path,
            )
            .await
            {
                Ok(taken) => {
                    if !common.json {
                        tell(&path.display().to_string(), &taken);
                    }
                    all.push(taken);
                }
                Err(Failed::NotReady(why)) => return Err(Failed::NotReady(why)),
                Err(Failed::No(why)) => {
                    failed = true;
                    eprintln!("{}\n{why}", path.display());
                }
            }
        }
        if common.json {
            match all.as_slice() {
                [one] if self.paths.len() == 1 => print_json(one)?,
                many => print_json(&many)?,
            }
        } else if let Some(last) = all.last() {
            println!("lubu approve {} --by 签发人 --opinion 意见  签发", &last.id);
        }
        Ok(if failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

impl Revise {
    pub async fn run(&self, common: &Common) -> Done {
        let daemon = Daemon::new(common)?;
        let by = self.by.clone().unwrap_or_else(me);
        let query = query(&[("by", &by), ("note", &self.note)]);
        let path = format!("/v1/items/{}/revisions?{query}", segment(&self.item));
        let taken = upload(&daemon, &path, None, &self.path).await?;
        if common.json {
            print_json(&taken)?;
        } else {
            tell(&self.path.display().to_string(), &taken);
            println!(
                "lubu approve {} --by 签发人 --opinion 意见  签发新版",
                taken.id
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

pub fn query(pairs: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (key, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(key, value);
    }
    query.finish()
}

pub async fn upload(
    daemon: &Daemon,
    to: &str,
    key: Option<&str>,
    path: &std::path::Path,
) -> Result<Taken, Failed> {
    let submission = Submission::from_path(path)
        .map_err(|complaint| Failed::No(format!("{}:{}", complaint.place, complaint.words.zh)))?;
    let main = submission.main;
    let mut files: Vec<Upload> = submission
        .files
        .into_iter()
        .map(|file| Upload {
            path: file.path,
            bytes: file.bytes,
        })
        .collect();
    files.swap(0, main);
    daemon.upload(to, key, files).await
}

fn tell(path: &str, taken: &Taken) {
    let known = if taken.known {
        "（已有，未重复收）"
    } else {
        ""
    };
    println!("{path} → {} 第 {} 版{known}", taken.id, taken.revision);
    for note in &taken.notes {
        println!("  注意：{}", note.zh);
    }
    for one in &taken.findings {
        println!("  {} {}：{}", one.channel, one.field, one.reason);
    }
}
