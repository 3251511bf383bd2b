//! Attachments: one multipart part named `file`.

use serde_json::json;

use super::{Outcome, Site, refuse};
use crate::ledger::Sight;
use crate::multipart;
use crate::wire::Call;
use crate::world::Scene;

const ENDINGS: [&str; 14] = [
    "pdf", "ofd", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "txt", "csv", "zip", "jpg", "png",
    "gif",
];

#[derive(Clone, Debug)]
pub(crate) struct File {
    pub id: String,
    pub name: String,
    pub bytes: Vec<u8>,
}

impl File {
    pub fn address(&self, base: &str) -> String {
        format!(
            "{base}/portal/files/{}/{}",
            self.id,
            crate::pages::encoded(&self.name)
        )
    }
}

impl Site {
    pub(super) fn take_file(&mut self, scene: &mut Scene<'_>, call: &Call) -> Outcome {
        let kind = call.header("content-type").unwrap_or_default();
        let parts = multipart::parse(kind, &call.body).unwrap_or_default();
        let Some(part) = parts.into_iter().find(|part| part.name == "file") else {
            return refuse(40002, "没有名为 file 的文件");
        };
        let name = part.filename.unwrap_or_default();
        let ending = name
            .rsplit_once('.')
            .map(|(_, end)| end.to_ascii_lowercase());
        if !ending.is_some_and(|end| ENDINGS.contains(&end.as_str())) || name.contains(['/', '\\'])
        {
            return refuse(40005, "不接收这种文件");
        }
        if part.data.is_empty() || part.data.len() > scene.settings.portal.file_max_bytes {
            return refuse(41301, "文件为空或过大");
        }
        let id = scene.ids.text(24).replace(['-', '_'], "x");
        let size = part.data.len();
        let file = File {
            id: id.clone(),
            name: name.clone(),
            bytes: part.data,
        };
        let url = file.address(scene.base);
        self.files.push(file);
        scene.note("file uploaded", &id, &name, Sight::Unchanged);
        Ok(json!({"id": id, "name": name, "size": size, "url": url}))
    }
}
