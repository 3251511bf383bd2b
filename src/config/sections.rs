//! `[daemon]`, `[office]`, `[intake]`, `[http]`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono_tz::Tz;
use lubu_channels::Secret;
use lubu_channels::kit::http::HttpOptions;
use lubu_channels::kit::settings::Reader;

use super::categories::Categories;

#[derive(Debug)]
pub struct Daemon {
    pub data: PathBuf,
    /// API and console; none keeps to the socket alone.
    pub listen: Option<SocketAddr>,
    pub socket: PathBuf,
    pub timezone: Tz,
    /// The bearer token of the HTTP interface. Without one it answers nothing but health.
    pub token: Option<Secret>,
    pub log: LogFormat,
    /// A watched folder.
    pub inbox: Option<PathBuf>,
    /// How long running steps get at a stop.
    pub stop_within: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Human,
    Json,
}

/// The name that stands where an office has not given its own.
pub const UNNAMED: &str = "发展和改革委员会";

/// Who publishes.
#[derive(Debug, Clone)]
pub struct Office {
    /// 发布机构: the full legal name.
    pub name: String,
    /// 责任科室, where an item names none.
    pub section: String,
    /// For index numbers; none given without it.
    pub org_code: Option<String>,
    pub index_template: String,
}

#[derive(Debug, Clone)]
pub struct Intake {
    pub text_max_bytes: u64,
    pub image_max_bytes: u64,
    pub attachment_max_bytes: u64,
    pub total_max_bytes: u64,
    pub image_max_pixels: u64,
    /// Fetch images that the text names by address.
    pub fetch_images: bool,
}

/// These win over the file.
const FROM_ENVIRONMENT: [(&str, &str); 3] = [
    ("LUBU_DATA", "data"),
    ("LUBU_LISTEN", "listen"),
    ("LUBU_SOCKET", "socket"),
];

pub fn from_environment(table: &mut toml::Table, env: &dyn Fn(&str) -> Option<String>) {
    for (name, key) in FROM_ENVIRONMENT {
        if let (Some(value), Some(toml::Value::Table(daemon))) =
            (env(name), table.get_mut("daemon"))
        {
            daemon.insert(key.to_owned(), toml::Value::String(value));
        }
    }
}

/// The variable that a key's value came from.
pub fn variable_of(key: &str, env: &dyn Fn(&str) -> Option<String>) -> Option<&'static str> {
    let key = key.strip_prefix("daemon.")?;
    let (name, _) = FROM_ENVIRONMENT.iter().find(|(_, known)| *known == key)?;
    env(name).map(|_| *name)
}

pub fn daemon(section: &mut Reader<'_>, base: &Path) -> Daemon {
    let data = base.join(section.required("data"));
    let socket = match section.text("socket") {
        Some(socket) => base.join(socket),
        None => data.join("lubu.sock"),
    };
    Daemon {
        listen: listen(section),
        socket,
        timezone: timezone(section),
        token: section.secret_if_set("token"),
        log: section.choice(
            "log",
            &[("human", LogFormat::Human), ("json", LogFormat::Json)],
            LogFormat::Human,
        ),
        inbox: section
            .text("inbox")
            .filter(|path| !path.is_empty())
            .map(|path| base.join(path)),
        stop_within: section.duration("stop_within", Duration::from_secs(20)),
        data,
    }
}

fn listen(section: &mut Reader<'_>) -> Option<SocketAddr> {
    let text = section.text("listen").filter(|text| !text.is_empty())?;
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Some(address),
        Ok(_) => {
            section.problem(
                "listen",
                "只能监听本机回环地址（如 127.0.0.1:8020）；对外请放在反向代理之后。",
                "must be a loopback address such as 127.0.0.1:8020; put a reverse proxy before it.",
            );
            None
        }
        Err(_) => {
            section.problem(
                "listen",
                format!("“{text}”不是地址和端口，应如 127.0.0.1:8020。"),
                format!("`{text}` is no address and port such as 127.0.0.1:8020."),
            );
            None
        }
    }
}

fn timezone(section: &mut Reader<'_>) -> Tz {
    let text = section.required("timezone");
    text.parse().unwrap_or_else(|_| {
        section.problem(
            "timezone",
            format!("没有时区“{text}”，应如 Asia/Shanghai。"),
            format!("there is no time zone `{text}`; write one like Asia/Shanghai."),
        );
        Tz::Asia__Shanghai
    })
}

pub fn office(section: &mut Reader<'_>) -> Office {
    Office {
        name: section.required("name"),
        section: section.text_or("section", ""),
        org_code: section.text("org_code").filter(|code| !code.is_empty()),
        index_template: section.text_or("index_template", "{org}/{year}-{seq:05}"),
    }
}

pub fn intake(section: &mut Reader<'_>) -> Intake {
    let mut mib = |key: &str, default: u64| section.count(key, default, 1..=4096) * 1024 * 1024;
    let (text, image) = (mib("text_max_mib", 4), mib("image_max_mib", 20));
    let (attachment, total) = (mib("attachment_max_mib", 200), mib("total_max_mib", 400));
    Intake {
        text_max_bytes: text,
        image_max_bytes: image,
        attachment_max_bytes: attachment,
        total_max_bytes: total,
        image_max_pixels: section.count("image_max_megapixels", 50, 1..=500) * 1_000_000,
        fetch_images: section.flag("fetch_images", true),
    }
}

pub fn http(section: &mut Reader<'_>) -> HttpOptions {
    HttpOptions {
        proxy: section.text("proxy").filter(|proxy| !proxy.is_empty()),
        connect_within: section.duration("connect_within", Duration::from_secs(10)),
        ..HttpOptions::default()
    }
}

pub fn categories(reader: &mut Reader<'_>, base: &Path, embedded: &str) -> Categories {
    let own = reader.text("categories").filter(|path| !path.is_empty());
    let text = match own {
        None => Ok(embedded.to_owned()),
        Some(path) => std::fs::read_to_string(base.join(&path))
            .map_err(|error| format!("{}: {error}", base.join(path).display())),
    };
    match text.and_then(|text| Categories::parse(&text)) {
        Ok(categories) => categories,
        Err(why) => {
            reader.problem(
                "categories",
                format!("信息分类表有误：{why}。"),
                format!("the taxonomy is wrong: {why}."),
            );
            Categories::default()
        }
    }
}
