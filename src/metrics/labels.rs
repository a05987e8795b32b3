//! Counters of refusals, one for each reason there is: known beforehand, so that a dashboard has
//! every line from the first scrape on and nobody can make more.

use prometheus_client::metrics::{counter::Counter, family::Family};

/// Counters by one label.
pub(super) type ByReason = Family<[(&'static str, &'static str); 1], Counter>;

macro_rules! reasons {
    ($(#[$what:meta])* $enum:ident by $label:literal { $($(#[$doc:meta])* $name:ident = $text:literal,)* }) => {
        $(#[$what])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $enum {
            $($(#[$doc])* $name,)*
        }

        impl $enum {
            const ALL: &[Self] = &[$(Self::$name,)*];

            fn label(self) -> [(&'static str, &'static str); 1] {
                match self { $(Self::$name => [($label, $text)],)* }
            }

            /// Counters for all of them, at nothing.
            pub(super) fn counters() -> ByReason {
                let counters = ByReason::default();
                for reason in Self::ALL {
                    drop(counters.get_or_create(&reason.label()));
                }
                counters
            }

            /// One more.
            pub(super) fn count(self, counters: &ByReason) {
                counters.get_or_create(&self.label()).inc();
            }
        }
    };
}

reasons! {
    /// Why a request was not let in.
    Denied by "reason" {
        /// It came without a token.
        Missing = "missing",
        /// Its token is none of ours, or not any more; nobody is told which.
        Invalid = "invalid",
        /// Its token waits for the approval of an admin.
        Unapproved = "unapproved",
        /// What it asks for may be read and not written, or is for admins.
        Forbidden = "forbidden",
        /// What it asks for may not be seen, and was answered as if it were not there.
        Hidden = "hidden",
    }
}

reasons! {
    /// What there was too much of.
    Limited by "what" {
        /// Requests of a token or an address.
        Requests = "requests",
        /// Bytes of a token or an address.
        Bytes = "bytes",
        /// Live readers of a token or an address.
        Readers = "readers",
        /// Streams made by a token or an address.
        Streams = "streams",
        /// Wrong tokens from an address.
        FailedAuth = "failed_auth",
        /// Connections of an address.
        Connections = "connections",
    }
}
