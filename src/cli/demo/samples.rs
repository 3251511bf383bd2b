//! The sample items: what a general section hands in on a day.

use lubu::intake::{Handed, Submission};

/// One sample: its files, the text first.
pub struct Sample {
    pub name: &'static str,
    files: &'static [(&'static str, &'static [u8])],
}

/// In the order of submission: the interpretation links to the policy before it.
pub const SAMPLES: [Sample; 5] = [
    Sample {
        name: "policy",
        files: &[
            ("item.md", include_bytes!("items/policy/item.md")),
            (
                "任务分工表.xlsx",
                include_bytes!("items/policy/任务分工表.xlsx"),
            ),
            ("申报指南.txt", include_bytes!("items/policy/申报指南.txt")),
        ],
    },
    Sample {
        name: "interpretation",
        files: &[("item.md", include_bytes!("items/interpretation/item.md"))],
    },
    Sample {
        name: "progress",
        files: &[
            ("item.md", include_bytes!("items/progress/item.md")),
            (
                "工地全景.jpg",
                include_bytes!("items/progress/工地全景.jpg"),
            ),
            (
                "光伏基地.jpg",
                include_bytes!("items/progress/光伏基地.jpg"),
            ),
        ],
    },
    Sample {
        name: "notice",
        files: &[("item.html", include_bytes!("items/notice/item.html"))],
    },
    Sample {
        name: "figures",
        files: &[
            ("item.md", include_bytes!("items/figures/item.md")),
            ("投资增速.png", include_bytes!("items/figures/投资增速.png")),
        ],
    },
];

impl Sample {
    /// The submission, with the policy's address in the interpretation.
    pub fn submission(&self, policy: &str) -> Submission {
        let files = self.files.iter().map(|(path, bytes)| Handed {
            path: (*path).to_owned(),
            bytes: match std::str::from_utf8(bytes) {
                Ok(text) => text.replace("POLICY_URL", policy).into_bytes(),
                Err(_) => bytes.to_vec(),
            },
        });
        Submission {
            main: 0,
            files: files.collect(),
        }
    }
}
