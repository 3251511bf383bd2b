//! The built daemon under a supervisor that speaks systemd's protocol, played by this test.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::office::Office;

/// What is said until this line is among it.
fn heard_until(by: &UnixDatagram, line: &str) -> Vec<String> {
    let mut heard: Vec<String> = Vec::new();
    while !heard.iter().any(|one| one == line) {
        let mut bytes = [0; 1024];
        let len = by.recv(&mut bytes).unwrap_or_else(|error| {
            unreachable!("waited in vain for {line} ({error}) after {heard:?}")
        });
        let said = std::str::from_utf8(&bytes[..len]).expect("text");
        heard.extend(said.lines().map(str::to_owned));
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_88_its_supervisor_is_told_of_the_start_that_it_lives_and_of_the_stop() {
    let mut office = Office::new("").await;
    let path = office.path("notify");
    let supervisor = UnixDatagram::bind(&path).expect("bound");
    let patience = Duration::from_secs(40);
    supervisor.set_read_timeout(Some(patience)).expect("set");
    office.env = vec![
        ("NOTIFY_SOCKET", path.display().to_string()),
        ("WATCHDOG_USEC", "300000".to_owned()),
    ];
    office.spawn();
    let start = heard_until(&supervisor, "READY=1");
    // A start that takes long extends the time it has.
    assert_eq!(start[1], "EXTEND_TIMEOUT_USEC=60000000", "{start:?}");
    assert!(
        start[0].starts_with("STATUS=") && start[0].contains("打开数据目录"),
        "{start:?}"
    );
    let ready = office
        .http
        .get(format!("http://{}/readyz", office.api))
        .send()
        .await;
    assert_eq!(ready.expect("answered").status(), 200);
    for _ in 0..3 {
        heard_until(&supervisor, "WATCHDOG=1");
    }
    assert_eq!(office.stop(), 0);
    heard_until(&supervisor, "STOPPING=1");
}
