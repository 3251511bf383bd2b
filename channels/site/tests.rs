//! What the site owes, and what readers find in it.

mod pages;
mod samples;
mod serving;
mod settings;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use http::HeaderMap;

use crate::conformance::{Rig, reply, sample, stretched};
use crate::contract::{
    Channel, Document, Entry, Limit, Media, Problem, Reply, Request, ResolveSecret, Secret,
    Timestamp, Words,
};

struct NoSecrets;

impl ResolveSecret for NoSecrets {
    fn resolve(&self, key: &str, _value: &toml::Value) -> Result<Secret, Problem> {
        Err(Problem::new(key, Words::new("没有", "none")))
    }
}

/// A folder that goes when the rig goes, and, where pages are read back over HTTP, a server of it.
struct Folder {
    home: tempfile::TempDir,
    more: toml::Table,
    album: crate::conformance::Album,
    /// The last page that readers could see.
    seen: Mutex<Option<(PathBuf, String)>>,
}

fn folder(more: &str) -> Folder {
    let (_, album) = sample::picture();
    Folder {
        home: tempfile::tempdir().unwrap(),
        more: more.parse().unwrap(),
        album,
        seen: Mutex::default(),
    }
}

fn from_disk() -> Arc<dyn Rig> {
    Arc::new(folder(""))
}

impl Folder {
    fn root(&self) -> PathBuf {
        self.home.path().join("public")
    }

    fn pages(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(&self.root().join("t"), &mut found);
        found
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            found.push(path);
        }
    }
}

pub fn settings(more: &toml::Table) -> toml::Table {
    let mut table: toml::Table =
        "root = 'public'\nbase_url = 'https://fgw.example.gov.cn'\nsite_id_code = '4113000012'"
            .parse()
            .unwrap();
    table.extend(more.clone());
    table
}

fn build(home: &Path, settings: toml::Table) -> Result<Arc<dyn Channel>, Vec<Problem>> {
    super::build(&Entry {
        name: "site",
        settings,
        base: home.to_path_buf(),
        timezone: chrono_tz::Asia::Shanghai,
        publisher: "南阳市发展和改革委员会",
        secrets: &NoSecrets,
        keys: None,
    })
}

impl Rig for Folder {
    fn build(&self, more: toml::Table) -> Result<Arc<dyn Channel>, Vec<Problem>> {
        let mut table = settings(&self.more);
        table.extend(more);
        build(self.home.path(), table)
    }

    fn document(&self, revision: u32) -> Document {
        sample::document(revision)
    }

    fn media(&self) -> &dyn Media {
        &self.album
    }

    fn beyond(&self, limit: &Limit) -> Document {
        stretched(sample::document(1), limit)
    }

    fn answer(&self, request: &Request, _now: Timestamp) -> Reply {
        let path = request.place().splitn(4, '/').nth(3).unwrap_or_default();
        match std::fs::read(self.root().join(path)) {
            Ok(body) => Reply {
                status: 200,
                headers: HeaderMap::new(),
                body,
            },
            Err(_) => reply(404, ""),
        }
    }

    fn changes(&self, _request: &Request) -> bool {
        false
    }

    fn copies(&self) -> usize {
        let live = |path: &PathBuf| {
            let page = std::fs::read_to_string(path).unwrap();
            let live = page.contains("ArticleTitle");
            if live {
                *self.seen.lock().unwrap() = Some((path.clone(), page));
            }
            live
        };
        self.pages().iter().filter(|path| live(path)).count()
    }

    fn settle(&self) {}

    fn person(&self, _now: Timestamp) {}

    fn remove(&self) {
        for page in self.pages() {
            std::fs::remove_file(page).unwrap();
        }
    }

    fn comes_back(&self) {
        if let Some((path, page)) = &*self.seen.lock().unwrap() {
            std::fs::write(path, page).unwrap();
        }
    }

    fn crowd(&self, _now: Timestamp) {}

    /// A site keeps no secret; where it lies on the machine is nobody's business either.
    fn secrets(&self) -> Vec<String> {
        vec![self.home.path().display().to_string()]
    }

    fn refusal(&self, _said: &str) -> Option<Reply> {
        None
    }
}

fn over_http() -> Arc<dyn Rig> {
    Arc::new(folder("look_url = 'http://127.0.0.1:8021'"))
}

macro_rules! suites {
    ($($suite:ident: $make:path;)*) => {
        $(mod $suite {
            crate::conformance_suite!($make;
                caps_hang_together,
                a_draft_is_pure_and_its_hash_is_stable,
                a_draft_refuses_what_is_beyond_each_limit,
                unknown_settings_are_refused_by_name,
                next_is_pure_and_its_steps_are_finite_and_named_once,
                a_publication_is_done_and_then_seen_live_once,
                a_step_changes_the_platform_at_most_once,
                a_crash_after_any_step_makes_no_second_copy,
                checks_and_looks_change_nothing,
                public_steps_use_a_connection_of_their_own,
                an_update_keeps_the_address,
                a_withdrawal_is_seen,
                withdrawing_what_is_gone_succeeds,
                a_removal_that_did_not_hold_is_asked_for_again,
                a_withdrawal_at_any_stage_leaves_nothing_public,
                what_a_run_without_record_published_is_not_denied,
                a_survey_lists_what_is_public_and_by_what_it_is_ours,
                what_was_not_sent_is_tried_again,
                a_lost_answer_is_unsure_unless_a_repeat_is_harmless,
                an_unreadable_answer_is_unsure_unless_a_repeat_is_harmless,
                trouble_before_the_change_is_no_doubt,
                a_refusal_under_a_success_status_is_a_failure,
                a_lost_step_is_found_and_goes_on_to_one_copy,
                a_step_that_never_arrived_is_not_taken_for_applied,
                a_broken_look_is_no_proof_of_absence,
                a_broken_survey_is_no_empty_list,
                secrets_are_in_no_answer,
            );
        })*
    };
}

suites! {
    read_from_the_folder: super::from_disk;
    read_over_http: super::over_http;
}

/// Writes a sample site into the folder named by the environment, to be looked at.
#[tokio::test]
#[ignore = "for looking at the pages"]
async fn a_sample_site_to_look_at() {
    let Ok(place) = std::env::var("LUBU_LOOK_AT") else {
        return;
    };
    samples::write(Path::new(&place)).await;
}
