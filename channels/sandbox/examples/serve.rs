//! The sandbox on its usual address, until Ctrl-C: `cargo run -p lubu-sandbox --example serve [address]`.

use std::io::{Error, ErrorKind};

use lubu_sandbox::{Options, start};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut options = Options::default();
    if let Some(address) = std::env::args().nth(1) {
        options.listen = address
            .parse()
            .map_err(|e| Error::new(ErrorKind::InvalidInput, e))?;
    }
    let running = start(options).await?;
    println!("沙盒 http://{}/", running.address());
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    Ok(())
}
