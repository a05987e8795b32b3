//! Who does harm: readers that never read, requests that stop in the middle, bursts of rubbish.
//! None of it may be seen in the streams of others.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{asking::json, dice::Dice, run::Run};

/// Connections of one burst of rubbish.
const BURST: u64 = 20;
/// What is waited for an answer to rubbish.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// A writer that no stream may ever hold anything of.
const NOBODY: u64 = 999_999;

/// Does one harm after the other until the load ends.
pub(super) async fn disturb(run: Arc<Run>, actor: u64, session: String) {
    let mut dice = run.dice(actor);
    while run.loads() {
        let done = match dice.below(3) {
            0 => never_read(&run, &mut dice, &session).await,
            1 => half_a_request(&run, &mut dice, &session).await,
            _ => rubbish(&run, &mut dice).await,
        };
        // A server that is down, or cuts the line, is what they deserve.
        drop(done);
        run.counts.nuisances.add(1);
        run.pause(dice.span_ms(50, 800)).await;
    }
}

async fn never_read(run: &Run, dice: &mut Dice, session: &str) -> Result<()> {
    let mut lines = Vec::new();
    for _ in 0..4 {
        let mut line = TcpStream::connect(&run.address).await?;
        let request = format!("GET /api/sessions/{session}/stream HTTP/1.1\r\nhost: soak\r\n\r\n");
        line.write_all(request.as_bytes()).await?;
        lines.push(line);
    }
    run.pause(dice.span_ms(500, 6_000)).await;
    Ok(())
}

/// An event without its last bytes: nothing of it is written.
async fn half_a_request(run: &Run, dice: &mut Dice, session: &str) -> Result<()> {
    let event = format!(r#"{{"channel":"soak","data":{{"w":{NOBODY},"n":7,"end":true}}}}"#);
    let request = json("POST", &format!("/api/sessions/{session}/events"), &event);
    let mut line = TcpStream::connect(&run.address).await?;
    let most = request.len() as u64 - 1;
    let sent = usize::try_from(dice.below(most))?;
    line.write_all(request.get(..sent).unwrap_or_default()).await?;
    run.pause(dice.span_ms(0, 200)).await;
    if dice.percent(50) {
        line.set_zero_linger()?;
    }
    Ok(())
}

async fn rubbish(run: &Run, dice: &mut Dice) -> Result<()> {
    for _ in 0..BURST {
        let mut line = TcpStream::connect(&run.address).await?;
        let mut bytes = dice
            .pick(&["", "GET ", "POST /api/sessions/x/events HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n"])
            .unwrap_or_default()
            .as_bytes()
            .to_vec();
        for _ in 0..dice.below(200) {
            bytes.extend_from_slice(&dice.next().to_le_bytes());
        }
        bytes.extend_from_slice(b"\r\n\r\n");
        line.write_all(&bytes).await?;
        let mut answer = [0; 256];
        // It may be answered, cut, or left alone.
        drop(timeout(ANSWER_WITHIN, line.read(&mut answer)).await);
    }
    Ok(())
}
