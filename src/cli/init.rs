//! `lubu init`: a commented configuration to start from.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{Common, Done, Failed, print_json};

#[derive(Debug, Args)]
pub struct Init {
    /// 写到哪个目录 The folder to write it to
    #[arg(default_value = ".")]
    folder: PathBuf,
}

impl Init {
    pub fn run(&self, common: &Common) -> Done {
        let file = self.folder.join("lubu.toml");
        let secrets = self.folder.join("secrets");
        std::fs::create_dir_all(&secrets)?;
        private(&secrets)?;
        write_new(&file, lubu::config::EXAMPLE.as_bytes(), 0o644)?;
        // Beside it, where its first line says: editors complete and explain by it.
        let schema = lubu::config::schema(&lubu_channels::registry::adapters());
        std::fs::write(self.folder.join("schema.json"), schema)?;
        let token = secrets.join("token");
        if !token.exists() {
            write_new(&token, random_token()?.as_bytes(), 0o600)?;
        }
        if common.json {
            print_json(&serde_json::json!({ "config": file, "token": token }))?;
            return Ok(ExitCode::SUCCESS);
        }
        println!(
            "已写入 {}。请按注释填写机构名称、渠道和密钥。",
            file.display()
        );
        println!("网页和接口的令牌在 {}。", token.display());
        println!("lubu config check --config {}  检查配置", file.display());
        Ok(ExitCode::SUCCESS)
    }
}

fn private(folder: &Path) -> Result<(), Failed> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(
        folder,
        std::fs::Permissions::from_mode(0o700),
    )?)
}

/// Never writes over what is there.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failed> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(|error| {
            Failed::No(format!(
                "{} 已经存在或写不进去：{error}\n{} exists or cannot be written: {error}",
                path.display(),
                path.display()
            ))
        })?;
    file.write_all(bytes)?;
    Ok(file.sync_all()?)
}

/// 32 bytes from the operating system, as hex.
pub fn random_token() -> Result<String, Failed> {
    use std::io::Read as _;
    let mut bytes = [0_u8; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(blake3::Hash::from_bytes(bytes).to_hex().to_string())
}
