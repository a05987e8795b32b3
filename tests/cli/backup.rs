//! Backups of a running server: taken while writers go on, restored into a new folder, checked,
//! and served again with all that was acknowledged before.

#![expect(clippy::indexing_slicing, reason = "tests")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Stdio,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::util::{Server, ndjson, scrollback, text};

/// A request over a connection of its own: the head and the body of the answer.
fn ask(address: &str, method: &str, path: &str, headers: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut socket = TcpStream::connect(address).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nhost: x\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    (text(&answer[..end]).to_ascii_lowercase(), answer[end + 4..].to_vec())
}

fn status(answer: &(String, Vec<u8>)) -> u16 {
    answer.0.split(' ').nth(1).unwrap().parse().unwrap()
}

fn field<'a>(answer: &'a (String, Vec<u8>), name: &str) -> Option<&'a str> {
    answer.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Takes a backup into a file; what the command printed.
fn take(server: &Server, file: &Path) -> Value {
    let output = server.command("backup --json -o").arg(file).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "silent in a pipe");
    let printed = ndjson(&text(&output.stdout));
    assert_eq!(printed.len(), 1);
    assert_eq!(printed[0]["bytes"], std::fs::metadata(file).unwrap().len());
    printed[0].clone()
}

fn restore(file: &Path, dir: &Path) -> (Option<i32>, String, String) {
    let mut command = scrollback("restore --json --data-dir");
    let output = command.arg(dir).arg(file).output().unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn restored(file: &Path, dir: &Path) -> Value {
    let (code, printed, said) = restore(file, dir);
    assert_eq!((code, said.as_str()), (Some(0), ""), "{printed}");
    let printed = ndjson(&printed);
    assert_eq!((printed.len(), &printed[0]["clean"]), (1, &true.into()));
    printed[0].clone()
}

fn numbers(server: &Server, stream: &str) -> Vec<(u64, u64)> {
    let events = ndjson(&server.run(&format!("read {stream} --json")));
    let pair =
        |event: &Value| (event["offset"].as_u64().unwrap(), event["data"]["n"].as_u64().unwrap());
    events.iter().map(pair).collect()
}

#[test]
fn a_backup_that_is_taken_while_writers_go_on_holds_all_that_was_acknowledged_before() {
    let server = Server::start();
    let done = AtomicBool::new(false);
    let acknowledged: Vec<AtomicU64> = (0..3).map(|_| AtomicU64::new(0)).collect();
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("backup.sbk");
    let before = thread::scope(|scope| {
        for (writer, count) in acknowledged.iter().enumerate() {
            let (address, done) = (server.address(), &done);
            scope.spawn(move || {
                let mut n = 0;
                while !done.load(Ordering::SeqCst) {
                    // By turns to two streams, so that each must be as far as the other.
                    let path = format!("/api/sessions/w{writer}-{}/events", n % 2);
                    let event = format!(r#"{{"channel":"n","data":{{"n":{n}}}}}"#);
                    let kind = "content-type: application/json\r\n";
                    let answer = ask(address, "POST", &path, kind, event.as_bytes());
                    assert_eq!(status(&answer), 200, "{}", answer.0);
                    n += 1;
                    count.store(n, Ordering::SeqCst);
                }
            });
        }
        let now = || -> Vec<u64> {
            acknowledged.iter().map(|count| count.load(Ordering::SeqCst)).collect()
        };
        while now().iter().any(|count| *count < 60) {
            thread::yield_now();
        }
        let before = now();
        take(&server, &file);
        done.store(true, Ordering::SeqCst);
        before
    });
    let data = dir.path().join("new");
    let told = restored(&file, &data);
    let verified = scrollback("verify --data-dir").arg(&data).output().unwrap();
    assert!(verified.status.success(), "{}", text(&verified.stdout));
    assert_eq!(ndjson(&text(&verified.stdout))[0]["records"], told["records"]);
    let again = Server::start_on(&data);
    for (writer, before) in before.iter().enumerate() {
        let halves = [0, 1].map(|half| numbers(&again, &format!("w{writer}-{half}")));
        for (half, at) in halves.iter().zip(0..) {
            let expected = (1..).zip((at..).step_by(2)).take(half.len());
            assert!(half.iter().copied().eq(expected), "offsets and records as they were");
        }
        let (even, odd) = (halves[0].len(), halves[1].len());
        assert!(even == odd || even == odd + 1, "a place of the commit order: {even}, {odd}");
        assert!((even + odd) as u64 >= *before, "{even} and {odd} of {before}");
    }
    // Cursors over all streams go on as well: positions are the ones they were.
    let cursor = |server: &Server| {
        let path = "/api/events?channels=session:w0-0&cursor=0&live=false";
        let body = text(&ask(server.address(), "GET", path, "", b"").1);
        body.lines().filter(|line| line.starts_with("id: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let (then, now) = (cursor(&server), cursor(&again));
    let events = numbers(&again, "w0-0").len();
    assert!(events >= 30 && now[..events] == then[..events]);
}

const STREAM: &str = "/v1/stream/";
const JSON: &str = "content-type: application/json\r\n";
const SUBSCRIPTION: &str = "/v1/stream/__ds/subscriptions/s";
const STREAMS: [&str; 8] =
    ["produced", "binary", "idles", "ends", "closed", "fork", "deleted", "wakes"];

fn put(server: &Server, path: &str, headers: &str) {
    let answer = ask(server.address(), "PUT", &format!("{STREAM}{path}"), headers, b"");
    assert_eq!(status(&answer), 201, "{path}: {}", answer.0);
}

fn post(server: &Server, path: &str, headers: &str, body: &[u8]) -> u16 {
    status(&ask(server.address(), "POST", &format!("{STREAM}{path}"), headers, body))
}

fn produce(server: &Server, epoch: u64, seq: u64) -> u16 {
    let producer = "producer-id: p\r\nproducer-epoch";
    let headers = format!("{JSON}{producer}: {epoch}\r\nproducer-seq: {seq}\r\n");
    post(server, "produced", &headers, seq.to_string().as_bytes())
}

fn delete(server: &Server, path: &str) {
    let answer = ask(server.address(), "DELETE", &format!("{STREAM}{path}"), "", b"");
    assert_eq!(status(&answer), 204, "{path}: {}", answer.0);
}

/// A stream of every kind.
fn fill(server: &Server) {
    put(server, "produced", JSON);
    for seq in 0..5 {
        assert_eq!(produce(server, 3, seq), 200);
    }
    let png = "content-type: image/png\r\n";
    put(server, "binary", png);
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    assert_eq!(post(server, "binary", png, &bytes), 204);
    put(server, "idles", "content-type: text/plain\r\nstream-ttl: 86400\r\n");
    put(server, "ends", "content-type: text/plain\r\nstream-expires-at: 2100-01-01T00:00:00Z\r\n");
    put(server, "closed", JSON);
    assert_eq!(post(server, "closed", &format!("{JSON}stream-closed: true\r\n"), b"1"), 204);
    let place = "stream-fork-offset: 0000000000000003\r\n";
    put(server, "fork", &format!("{JSON}stream-forked-from: {STREAM}produced\r\n{place}"));
    assert_eq!(post(server, "fork", JSON, b"\"own\""), 204);
    put(server, "deleted", JSON);
    assert_eq!(post(server, "deleted", JSON, b"\"taken back\""), 204);
    delete(server, "deleted");
    put(server, "wakes", JSON);
    let asked = json!({"type": "pull-wake", "pattern": "jobs/*", "wake_stream": "wakes"});
    let made = ask(server.address(), "PUT", SUBSCRIPTION, JSON, asked.to_string().as_bytes());
    assert_eq!(status(&made), 201, "{}", text(&made.1));
}

/// What a client learns of one path.
#[derive(Debug, PartialEq)]
struct Seen {
    status: u16,
    body: Vec<u8>,
    headers: Vec<Option<String>>,
}

fn seen(server: &Server, path: &str) -> Seen {
    // A problem names its request, and both are to read the same.
    let read = ask(server.address(), "GET", path, "x-request-id: same\r\n", b"");
    let head = ask(server.address(), "HEAD", path.split('?').next().unwrap(), "", b"");
    let of_read = ["etag", "content-type", "stream-next-offset", "stream-closed"];
    let of_head = ["stream-ttl", "stream-expires-at"];
    let of_read = of_read.iter().map(|name| field(&read, name));
    let headers = of_read.chain(of_head.iter().map(|name| field(&head, name)));
    let headers = headers.map(|value| value.map(str::to_owned)).collect();
    Seen { status: status(&read), body: read.1, headers }
}

fn all_seen(server: &Server) -> Vec<Seen> {
    let streams = STREAMS.map(|path| format!("{STREAM}{path}?offset=-1"));
    let others = [SUBSCRIPTION, "/v1/stream/__ds/jwks.json"].map(str::to_owned);
    streams.iter().chain(&others).map(|path| seen(server, path)).collect()
}

#[test]
fn everything_about_streams_is_as_it_was() {
    let server = Server::start();
    fill(&server);
    let before = all_seen(&server);
    let statuses: Vec<_> = before.iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 404, 200, 200, 200]);
    assert_eq!(
        (&before[0].body[..], &before[5].body[..]),
        (&b"[0,1,2,3,4]"[..], &b"[0,1,2,\"own\"]"[..])
    );
    let known = |seen: &Seen, header: usize| seen.headers[header].is_some();
    assert!(known(&before[0], 0) && known(&before[4], 3), "an etag, and closed");
    assert!(known(&before[2], 4) && known(&before[3], 5), "how they end by themselves");
    let dir = TempDir::new().unwrap();
    let (file, data) = (dir.path().join("b.sbk"), dir.path().join("new"));
    take(&server, &file);
    // The original goes on: what is read below comes from the copy.
    delete(&server, "produced");
    restored(&file, &data);
    let again = Server::start_on(&data);
    assert_eq!(all_seen(&again), before);
    assert_eq!(produce(&again, 3, 4), 204, "a duplicate");
    assert_eq!(produce(&again, 2, 0), 403, "fenced");
    assert_eq!(produce(&again, 3, 5), 200);
    assert_eq!(post(&again, "closed", JSON, b"2"), 409);
}

#[test]
fn a_file_that_is_no_whole_backup_is_refused_and_leaves_nothing() {
    let server = Server::start();
    server.append_numbers("s", 500);
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("b.sbk");
    take(&server, &file);
    let whole = std::fs::read(&file).unwrap();
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 4;
    let longer = [&whole[..], b"x"].concat();
    let cases: [(&[u8], &str); 5] = [
        (&whole[..whole.len() - 1], "was cut short"),
        (&changed, "is damaged at byte"),
        (&longer, "goes on after its seal"),
        (b"", "no backup of Scrollback"),
        (b"SQLite format 3\0 and so on", "no backup of Scrollback"),
    ];
    for (bytes, why) in cases {
        let bad = dir.path().join("bad.sbk");
        std::fs::write(&bad, bytes).unwrap();
        let data = dir.path().join("new");
        let (code, printed, said) = restore(&bad, &data);
        assert_eq!((code, printed.as_str()), (Some(2), ""), "{said}");
        assert!(said.starts_with("error: ") && said.contains(why), "{why}: {said}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "two files, no folder");
    }
    let (code, _, said) = restore(&file, dir.path());
    assert_eq!(code, Some(2));
    assert!(said.contains("not empty"), "{said}");
    let output = server.command("backup -o").arg(&file).output().unwrap();
    assert!(text(&output.stderr).contains("is there already"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read(&file).unwrap(), whole);
}

#[test]
fn an_interrupted_restore_leaves_nothing_to_start_from_and_the_next_one_succeeds() {
    let server = Server::start();
    server.append_numbers("s", 2_000);
    let dir = TempDir::new().unwrap();
    let (file, data) = (dir.path().join("b.sbk"), dir.path().join("new"));
    take(&server, &file);
    let whole = std::fs::read(&file).unwrap();
    let mut restoring = scrollback("restore - --data-dir");
    restoring.arg(&data).stdin(Stdio::piped());
    let mut restoring = restoring.stderr(Stdio::null()).spawn().unwrap();
    let mut input = restoring.stdin.take().unwrap();
    input.write_all(&whole[..whole.len() - 10]).unwrap();
    let unfinished = dir.path().join("new.restoring");
    while !unfinished.join("FORMAT").exists() {
        thread::yield_now();
    }
    let (_, _, said) = restore(&file, &data);
    assert!(said.contains("in use"), "two at once: {said}");
    restoring.kill().unwrap();
    restoring.wait().unwrap();
    assert!(!data.exists());
    let served = scrollback("serve --listen 127.0.0.1:0 --data-dir").arg(&unfinished).output();
    let said = text(&served.unwrap().stderr);
    assert!(said.contains("restore, not finished"), "{said}");
    restored(&file, &data);
    assert!(!unfinished.exists());
    assert_eq!(numbers(&Server::start_on(&data), "s").len(), 2_000);
}

#[test]
fn a_place_that_no_folder_can_take_is_refused_before_anything_is_written() {
    let server = Server::start();
    server.append_numbers("s", 10);
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("b.sbk");
    take(&server, &file);
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    std::fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let mut cases = vec![(link.as_path(), "is a symbolic link"), (Path::new("."), "has no name")];
    if cfg!(target_os = "linux") {
        cases.push((Path::new("/proc"), "name a folder inside it"));
    }
    for (place, why) in cases {
        let (code, printed, said) = restore(&file, place);
        assert_eq!((code, printed.as_str()), (Some(2), ""), "{said}");
        assert!(said.contains(why) && said.lines().count() == 1, "{why}: {said}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "nothing new");
        assert_eq!(std::fs::read_dir(&real).unwrap().count(), 0);
    }
    // On the way to the place a link is followed, and an empty folder is filled.
    restored(&file, &link.join("new"));
    assert!(real.join("new/FORMAT").exists());
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    restored(&file, &empty);
    let again = Server::start_on(&empty);
    assert_eq!(numbers(&again, "s").len(), 10);
}

#[test]
fn a_backup_goes_into_a_folder_or_a_pipe_too_and_there_is_one_at_a_time() {
    let server = Server::start();
    server.append_numbers("s", 10);
    let dir = TempDir::new().unwrap();
    let told = take_into_folder(&server, dir.path());
    let piped = server.command("backup").output().unwrap();
    assert!(piped.status.success() && piped.stderr.is_empty());
    std::fs::write(dir.path().join("piped.sbk"), &piped.stdout).unwrap();
    for (file, data) in [(Path::new(&told), "a"), (Path::new("piped.sbk"), "b")] {
        let told = restored(&dir.path().join(file), &dir.path().join(data));
        assert_eq!((&told["records"], &told["streams"]), (&10.into(), &1.into()));
    }
    // More than the buffers between the two hold, so that it goes on for as long as nobody reads.
    let noise: String = (0..400_000)
        .map(|n: u32| char::from(b'!' + (n.wrapping_mul(2_654_435_761) >> 25) as u8 % 90))
        .collect();
    let part = noise.replace(['"', '\\'], "x");
    for _ in 0..100 {
        let event = format!(r#"{{"channel":"n","data":"{}"}}"#, &part[..240_000]);
        let kind = "content-type: application/json\r\n";
        let answer =
            ask(server.address(), "POST", "/api/sessions/big/events", kind, event.as_bytes());
        assert_eq!(status(&answer), 200, "{}", answer.0);
    }
    let mut slow = TcpStream::connect(server.address()).unwrap();
    slow.write_all(b"GET /api/backup HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    slow.read_exact(&mut [0; 1_000]).unwrap();
    let second = server.command("backup").output().unwrap();
    assert!(!second.status.success());
    assert!(text(&second.stderr).contains("backup_running"), "{}", text(&second.stderr));
    // A server that is stopped meanwhile says so, and what it sent is no whole backup.
    let (mut rest, address) = (Vec::new(), server.address().to_owned());
    thread::scope(|scope| {
        scope.spawn(move || server.stop());
        // It accepts no more: from here on it knows that it stops.
        while TcpStream::connect(&address).is_ok() {
            thread::yield_now();
        }
        slow.read_to_end(&mut rest).unwrap();
    });
    assert!(String::from_utf8_lossy(&rest).contains("the server was stopped meanwhile"));
}

fn take_into_folder(server: &Server, dir: &Path) -> String {
    let told = take_json(server, dir);
    let file = Path::new(told["file"].as_str().unwrap()).to_owned();
    assert_eq!(file.parent(), Some(dir));
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(name.starts_with("scrollback-20") && name.ends_with("Z.sbk"), "{name}");
    name
}

fn take_json(server: &Server, output: &Path) -> Value {
    let output = server.command("backup --json -o").arg(output).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    ndjson(&text(&output.stdout))[0].clone()
}
