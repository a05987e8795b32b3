//! What happens to a connection, drawn from a seed. Pure.
//!
//! Invariant: the same seed and the same connection draw the same fate.

/// Splitmix64: the same numbers for the same seed, on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).unwrap();
        usize::try_from(self.next() % end).unwrap()
    }

    /// One of some things.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// One side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Both ways are closed.
    Close,
    /// Both ways are reset.
    Reset,
    /// Only the way that was counted is closed.
    Half,
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes through.
    Whole,
    /// It ends after so many bytes from one side.
    Cut { from: Side, after: usize, how: Cut },
    /// It is taken, and after so many bytes of the answer nothing comes any more. It stays open.
    Mute { after: usize },
    /// A gateway answers its first request, which the server has got all the same, or never.
    Gateway { status: u16, handed_on: bool },
    /// The server gets its first request twice; the second answer counts.
    Twice,
    /// A live read gets the answer of an earlier connection once more, as far as that came.
    Again,
}

/// Of a write's answer that is never whole, at most so many bytes: its head alone is longer.
const MUTE_WITHIN: usize = 60;

impl Fate {
    /// The fate that a seed gives to a connection. `twice` says whether requests may be handed on
    /// twice.
    pub(crate) fn draw(random: &mut Random, twice: bool) -> Self {
        match random.below(if twice { 13 } else { 11 }) {
            0 => Self::Whole,
            1..=5 => Self::Cut {
                from: random.pick(&[Side::Client, Side::Server, Side::Server]),
                after: near(random),
                how: random.pick(&[Cut::Close, Cut::Reset, Cut::Half]),
            },
            6 => Self::Mute { after: random.below(MUTE_WITHIN) },
            7 | 8 => Self::Gateway {
                status: random.pick(&[502, 503, 504]),
                handed_on: random.below(2) == 0,
            },
            9 | 10 => Self::Again,
            _ => Self::Twice,
        }
    }
}

/// Cuts fall into heads, into first answers, or far behind them.
fn near(random: &mut Random) -> usize {
    let most = random.pick(&[200, 600, 2_000, 8_000]);
    random.below(most)
}

#[test]
fn the_same_seed_draws_the_same_fates_and_all_kinds_come() {
    let drawn = |seed| {
        let mut random = Random::new(seed);
        (0..40).map(|_| Fate::draw(&mut random, true)).collect::<Vec<_>>()
    };
    assert_eq!(drawn(7), drawn(7));
    assert_ne!(drawn(7), drawn(8));
    let all: Vec<Fate> = (0..50).flat_map(drawn).collect();
    let kinds: std::collections::HashSet<_> = all.iter().map(std::mem::discriminant).collect();
    assert_eq!(kinds.len(), 6);
    let mut random = Random::new(1);
    let once = (0..500).all(|_| Fate::draw(&mut random, false) != Fate::Twice);
    assert!(once);
}
