//! Where secrets are: the environment, a file, or the service manager's credentials.

use std::path::{Path, PathBuf};

use lubu_channels::{Problem, ResolveSecret, Secret, Words};
use toml::Value;

pub struct Secrets<'a> {
    base: PathBuf,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl std::fmt::Debug for Secrets<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

impl<'a> Secrets<'a> {
    pub fn new(base: &Path, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            base: base.to_path_buf(),
            env,
        }
    }

    fn file(&self, key: &str, path: &Path) -> Result<Secret, Problem> {
        let path = self.base.join(path);
        refuse_open_file(key, &path)?;
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Problem::new(
                key,
                Words::new(
                    format!("读不到密钥文件“{}”：{error}。", path.display()),
                    format!(
                        "the secret file `{}` cannot be read: {error}.",
                        path.display()
                    ),
                ),
            )
        })?;
        filled(key, &text)
    }

    fn variable(&self, key: &str, name: &str) -> Result<Secret, Problem> {
        let Some(text) = (self.env)(name) else {
            let words = Words::new(
                format!("环境变量 {name} 没有设置。"),
                format!("the environment variable {name} is not set."),
            );
            return Err(Problem::new(key, words));
        };
        filled(key, &text)
    }
}

impl ResolveSecret for Secrets<'_> {
    fn resolve(&self, key: &str, value: &Value) -> Result<Secret, Problem> {
        let place = value
            .as_table()
            .filter(|table| table.len() == 1)
            .and_then(|table| {
                let (kind, name) = table.iter().next()?;
                Some((kind.as_str(), name.as_str()?))
            });
        match place {
            Some(("env", name)) => self.variable(key, name),
            Some(("file", path)) => self.file(key, Path::new(path)),
            Some(("credential", name)) => match (self.env)("CREDENTIALS_DIRECTORY") {
                Some(folder) => self.file(key, &Path::new(&folder).join(name)),
                None => Err(Problem::new(
                    key,
                    Words::new(
                        "只有由 systemd 启动并配置了 LoadCredential 时才能用 credential。",
                        "credentials exist only under systemd with LoadCredential.",
                    ),
                )),
            },
            _ => Err(Problem::new(
                key,
                Words::new(
                    "密钥不能直接写在配置里，请写 { env = \"变量名\" }、{ file = \"路径\" } 或 { credential = \"名称\" }。",
                    "a secret is never written here: say { env = \"NAME\" }, { file = \"path\" } or { credential = \"name\" }.",
                ),
            )),
        }
    }
}

fn filled(key: &str, text: &str) -> Result<Secret, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::new(
            key,
            Words::new("密钥是空的。", "the secret is empty."),
        ));
    }
    Ok(Secret::new(text))
}

/// A secret that everybody on the machine can read is none.
#[cfg(unix)]
fn refuse_open_file(key: &str, path: &Path) -> Result<(), Problem> {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(meta) = std::fs::metadata(path) else {
        return Ok(());
    };
    if meta.permissions().mode().trailing_zeros() >= 3 {
        return Ok(());
    }
    let shown = path.display();
    Err(Problem::new(
        key,
        Words::new(
            format!("密钥文件“{shown}”任何人都能读，请执行 chmod 600。"),
            format!("the secret file `{shown}` is open to everybody; chmod 600 it."),
        ),
    ))
}
