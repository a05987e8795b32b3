//! A proxy on loopback that does to connections what a seed says.
//!
//! It refuses to know what the tests want. Invariants: what happens to the n-th connection depends
//! on the seed and on n alone; only the first few connections have a fate, so that every test
//! comes to its end; what is passed on is passed on in order and unchanged.
//!
//! ```ignore
//! let proxy = Proxy::start(server.addr(), seed).await;
//! let client = proxy.client();          // or Client::builder(proxy.url()).clock(proxy.clock())
//! ```

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock},
};

use scrollback::client::{Client, RetryPolicy};
use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    task::{JoinSet, yield_now},
};

use crate::{
    fate::{Cut, Fate, Random, Side},
    util::Impatient,
};

/// Connections that have a fate are at most so many, and at least a few.
const FATES_MAX: usize = 12;

/// Bytes of an answer that are kept to be given once more.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// A proxy in front of a server. It ends with its handle, and all its connections with it.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Made once: a client takes its time to read the certificates of the machine.
    client: OnceLock<Client>,
    _running: JoinSet<()>,
}

struct Shared {
    upstream: SocketAddr,
    clock: Arc<Impatient>,
    state: Mutex<State>,
}

struct State {
    seed: u64,
    fates: VecDeque<Fate>,
    taken: Vec<Fate>,
    /// Answers of live reads, by what was asked but for the place.
    kept: HashMap<String, Vec<u8>>,
}

impl Proxy {
    /// A proxy in front of `upstream`, with the faults of a seed. A request may be handed on twice.
    pub(crate) async fn start(upstream: SocketAddr, seed: u64) -> Self {
        Self::seeded(upstream, seed, true).await
    }

    /// The same, but no request is handed on twice: what is there twice was sent twice.
    pub(crate) async fn start_once(upstream: SocketAddr, seed: u64) -> Self {
        Self::seeded(upstream, seed, false).await
    }

    async fn seeded(upstream: SocketAddr, seed: u64, twice: bool) -> Self {
        let mut random = Random::new(seed);
        let count = 3 + random.below(FATES_MAX - 2);
        let fates = (0..count).map(|_| Fate::draw(&mut random, twice)).collect();
        Self::with_fates(upstream, seed, fates).await
    }

    /// A proxy whose first connections have these fates; what comes after goes through.
    pub(crate) async fn scripted(upstream: SocketAddr, fates: &[Fate]) -> Self {
        Self::with_fates(upstream, 0, fates.iter().copied().collect()).await
    }

    async fn with_fates(upstream: SocketAddr, seed: u64, fates: VecDeque<Fate>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { seed, fates, taken: Vec::new(), kept: HashMap::new() };
        let clock = Arc::new(Impatient::default());
        let shared = Arc::new(Shared { upstream, clock, state: Mutex::new(state) });
        let mut running = JoinSet::new();
        running.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, client: OnceLock::new(), _running: running }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The clock for a client of this proxy: waits before another try are over at once; waits for
    /// an answer or a sign of life are over when the proxy has fallen silent.
    pub(crate) fn clock(&self) -> Arc<Impatient> {
        Arc::clone(&self.shared.clock)
    }

    /// A client through the proxy that tries more often than there are faults. All of them share
    /// their connections.
    pub(crate) fn client(&self) -> Client {
        let retry = RetryPolicy { tries: 200, ..RetryPolicy::default() };
        let client = || Client::builder(self.url()).clock(self.clock()).retry(retry);
        self.client.get_or_init(|| client().build().unwrap()).clone()
    }

    /// What happened to connections so far.
    pub(crate) fn taken(&self) -> Vec<Fate> {
        self.shared.state.lock().unwrap().taken.clone()
    }

    /// The next connections have these fates, whatever was planned.
    pub(crate) fn then(&self, fates: &[Fate]) {
        self.shared.state.lock().unwrap().fates = fates.iter().copied().collect();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { return };
        let (fate, random) = {
            let mut state = shared.state.lock().unwrap();
            let fate = state.fates.pop_front().unwrap_or(Fate::Whole);
            let number = state.taken.len() as u64;
            state.taken.push(fate);
            (fate, Random::new(state.seed ^ number.wrapping_mul(0xA5A5_A5A5_0000_0001)))
        };
        let line = Line { shared: Arc::clone(&shared), random, client };
        connections.spawn(async move {
            // A connection that ends badly is what this is about.
            drop(line.run(fate).await);
        });
        while connections.try_join_next().is_some() {}
    }
}

/// One connection.
struct Line {
    shared: Arc<Shared>,
    random: Random,
    client: TcpStream,
}

/// The first request of a connection.
struct Asked {
    bytes: Vec<u8>,
    /// What is asked but for the place, where it is a live read.
    live: Option<String>,
}

impl Line {
    async fn run(mut self, fate: Fate) -> io::Result<()> {
        self.client.set_nodelay(true)?;
        let asked = request(&mut self.client).await?;
        match fate {
            Fate::Gateway { status, handed_on } => self.gateway(&asked, status, handed_on).await,
            Fate::Again => match self.kept(&asked) {
                Some(answer) => self.client.write_all(&answer).await,
                None => self.pass(asked, Fate::Whole).await,
            },
            Fate::Twice => {
                self.hand_on(&asked).await?;
                self.pass(asked, Fate::Whole).await
            }
            _ => self.pass(asked, fate).await,
        }
    }

    fn kept(&self, asked: &Asked) -> Option<Vec<u8>> {
        let state = self.shared.state.lock().unwrap();
        state.kept.get(asked.live.as_ref()?).cloned()
    }

    async fn upstream(&self) -> io::Result<TcpStream> {
        let server = TcpStream::connect(self.shared.upstream).await?;
        server.set_nodelay(true)?;
        Ok(server)
    }

    /// Gives a request to the server, and waits until its answer begins.
    async fn hand_on(&self, asked: &Asked) -> io::Result<()> {
        let mut server = self.upstream().await?;
        server.write_all(&asked.bytes).await?;
        server.read_u8().await.map(drop)
    }

    async fn gateway(mut self, asked: &Asked, status: u16, handed_on: bool) -> io::Result<()> {
        if handed_on {
            self.hand_on(asked).await?;
        }
        let asks = if self.random.below(2) == 0 { "retry-after: 1\r\n" } else { "" };
        let answer = format!(
            "HTTP/1.1 {status} Gateway\r\ncontent-length: 14\r\n{asks}connection: close\r\n\r\n<h1>{status}</h1>\n\n"
        );
        self.client.write_all(answer.as_bytes()).await
    }

    /// Passes on what comes, both ways, until the fate has it.
    async fn pass(self, asked: Asked, fate: Fate) -> io::Result<()> {
        let mut server = self.upstream().await?;
        let Self { shared, mut random, mut client } = self;
        let limit = |side| match fate {
            Fate::Cut { from, after, .. } if from == side => Some(after),
            Fate::Mute { after } if side == Side::Server => Some(after),
            _ => None,
        };
        // In pieces of one byte up to whole ones, a little later or at once.
        let pieces = random.pick(&[1, 7, 90, 1_400, 65_536]);
        let pump = |random: &mut Random, side| Pump {
            random: Random::new(random.below(usize::MAX) as u64),
            pieces,
            left: limit(side),
        };
        let (mut up, mut down) = (pump(&mut random, Side::Client), pump(&mut random, Side::Server));
        let halves = fate_cut(fate) == Some(Cut::Half);
        let mut kept = Vec::new();
        let ended = {
            let (mut from_client, mut to_client) = client.split();
            let (mut from_server, mut to_server) = server.split();
            let up = async {
                let begun = up.give(&asked.bytes, &mut to_server).await?;
                up.all(begun, &mut from_client, &mut to_server, halves, |_| {}).await
            };
            let keep = |bytes: &[u8]| {
                if kept.len() + bytes.len() <= KEPT_BYTES_MAX {
                    kept.extend_from_slice(bytes);
                }
            };
            let down = down.all(true, &mut from_server, &mut to_client, halves, keep);
            tokio::try_join!(up, down)
        };
        if let Some(live) = asked.live {
            shared.state.lock().unwrap().kept.insert(live, kept);
        }
        match (ended, fate) {
            (Err(Ended::Limit), Fate::Mute { .. }) => stay_silent(client, &shared.clock).await,
            (Err(Ended::Limit), Fate::Cut { how: Cut::Reset, .. }) => {
                client.set_zero_linger()?;
                server.set_zero_linger()
            }
            _ => Ok(()),
        }
    }
}

fn fate_cut(fate: Fate) -> Option<Cut> {
    match fate {
        Fate::Cut { how, .. } => Some(how),
        _ => None,
    }
}

/// Says nothing until the client has had enough.
async fn stay_silent(mut client: TcpStream, clock: &Impatient) -> io::Result<()> {
    let mut unread = [0; 1_024];
    loop {
        tokio::select! {
            biased;
            read = client.read(&mut unread) => if read? == 0 { return Ok(()) },
            () = yield_now() => clock.lose_patience(),
        }
    }
}

/// Why a connection is no longer passed on.
#[derive(Debug)]
enum Ended {
    Limit,
    Broken,
}

/// One way of a connection.
struct Pump {
    random: Random,
    pieces: usize,
    /// Bytes that still go through, where they are counted.
    left: Option<usize>,
}

impl Pump {
    /// Passes on what comes until it ends. Where the limit only `halves`, the other way goes on.
    async fn all(
        &mut self,
        begun: bool,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
        halves: bool,
        mut keep: impl FnMut(&[u8]),
    ) -> Result<(), Ended> {
        let mut bytes = vec![0; 16 * 1_024];
        let mut goes_on = begun;
        while goes_on {
            let count = from.read(&mut bytes).await.map_err(|_| Ended::Broken)?;
            if count == 0 {
                break;
            }
            let most = self.left.unwrap_or(count).min(count);
            keep(&bytes[..most]);
            goes_on = self.give(&bytes[..count], to).await?;
        }
        if !goes_on && !halves {
            return Err(Ended::Limit);
        }
        to.shutdown().await.map_err(|_| Ended::Broken)
    }

    /// Writes in pieces; false once the limit is reached.
    async fn give(&mut self, bytes: &[u8], to: &mut WriteHalf<'_>) -> Result<bool, Ended> {
        let most = self.left.unwrap_or(bytes.len()).min(bytes.len());
        let mut rest = &bytes[..most];
        while !rest.is_empty() {
            let count = (1 + self.random.below(self.pieces)).min(rest.len());
            let (piece, after) = rest.split_at(count);
            to.write_all(piece).await.map_err(|_| Ended::Broken)?;
            rest = after;
            for _ in 0..self.random.below(3) {
                yield_now().await;
            }
        }
        if let Some(left) = &mut self.left {
            *left -= most;
            return Ok(*left > 0);
        }
        Ok(true)
    }
}

/// Reads a request with its body.
async fn request(client: &mut TcpStream) -> io::Result<Asked> {
    let mut bytes = Vec::new();
    loop {
        if client.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        if bytes.len() >= head + 4 + length {
            let target = text.split(' ').nth(1).unwrap_or_default();
            return Ok(Asked { live: live(target), bytes });
        }
    }
}

/// What a live read asks for, but for the place.
fn live(target: &str) -> Option<String> {
    let (path, query) = target.split_once('?')?;
    (path.starts_with("/api/follow/") || path == "/api/events").then(|| {
        let places = ["fromoffset=", "epoch=", "cursor=", "snapshot="];
        let is_place = |part: &&str| places.iter().any(|place| part.starts_with(place));
        let rest: Vec<&str> = query.split('&').filter(|part| !is_place(part)).collect();
        format!("{path}?{}", rest.join("&"))
    })
}
