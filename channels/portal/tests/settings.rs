//! Every mistake in the configuration is named by its key.

use super::platform::{build, settings};

fn keys(more: &str) -> Vec<String> {
    let problems = build(settings(more)).expect_err(more);
    problems.into_iter().map(|problem| problem.key).collect()
}

#[test]
fn every_mistake_is_named_by_its_key() {
    for (more, key) in [
        ("deduplicates = 'yes'", "deduplicates"),
        ("deduplicates = '30s'", "deduplicates"),
        ("calls = 'soap'", "calls"),
        ("[columns]\n0604 = true", "columns.0604"),
        ("[fields]\nheadline = 'x'", "fields.headline"),
        ("[constants]\nsite = '{{ oops'", "constants.site"),
        ("[create]\nmethod = 'SEND'", "create.method"),
        ("[create]\nurl = '{{ endpoint'", "create.url"),
        ("[create]\nformat = 'xml'", "create.template"),
        ("[create.headers]\n'X Y' = 'z'", "create.headers.X Y"),
        ("[status]\nurll = 'x'", "status.urll"),
        ("[success]\nstatus = ['ok']", "success.status"),
        ("[answer]\nid = 'data.id'", "answer.id"),
        ("[failures]\n'500' = 'retry'", "failures.500"),
        ("[states]\npending = ['published']", "states.published"),
        ("[limits]\ntitle = 0", "limits.title"),
        ("[signing]\nkind = 'jwt'", "signing.kind"),
        ("[signing]\nkind = 'standard-webhooks'", "signing.secret"),
        (
            "[signing]\nkind = 'standard-webhooks'\nsecret = '!'",
            "signing.secret",
        ),
        (
            "[signing]\nkind = 'canonical'\nsecret = 'x'",
            "signing.template",
        ),
        (
            "[signing]\nkind = 'canonical'\nsecret = 'x'\ntemplate = '{when}'",
            "signing.template",
        ),
        (
            "[signing]\nkind = 'sorted-parameters'\nsecret = 'x'\nalgorithm = 'crc'",
            "signing.algorithm",
        ),
        (
            "[files]\nurl = 'https://x/f'\neffect = 'public'",
            "files.effect",
        ),
    ] {
        assert!(
            keys(more).contains(&key.to_owned()),
            "{more}: {:?}",
            keys(more)
        );
    }
}
