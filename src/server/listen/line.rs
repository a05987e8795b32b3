//! What bytes of a connection come and go through: a socket of either kind, what was read of it
//! already, and a bound on the time for which the other end may take nothing, or too little. It
//! refuses to know what the bytes say.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

use super::{
    patience::Patience,
    preface::{self, Version},
};
use crate::clock::{Clock, Sleep};

/// An accepted socket.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection's bytes.
pub(super) struct Line<S = Socket> {
    socket: S,
    /// What was read to find out what the other end speaks.
    first: Bytes,
    clock: Arc<dyn Clock>,
    /// Of an other end that does not take at once what it is sent.
    behind: Option<Box<Behind>>,
}

struct Behind {
    patience: Patience,
    /// Runs while something waits to be taken.
    over: Option<Sleep<'static>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    pub(super) fn new(socket: S, clock: Arc<dyn Clock>) -> Self {
        Self { socket, first: Bytes::new(), clock, behind: None }
    }

    /// What the other end speaks, by its first bytes, which are read again afterwards. Whoever
    /// says nothing more is left to HTTP/1.1, which knows how to end.
    pub(super) async fn version(&mut self) -> io::Result<Version> {
        let mut read = Vec::with_capacity(preface::HTTP2.len());
        loop {
            let before = read.len();
            let left = preface::HTTP2.len() - before;
            (&mut self.socket).take(left as u64).read_buf(&mut read).await?;
            let version = preface::version(&read);
            if read.len() == before || version.is_some() {
                self.first = read.into();
                return Ok(version.unwrap_or(Version::One));
            }
        }
    }

    /// Lets what was written through, and an error where too little has been for too long.
    fn watched(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            self.took(written.as_ref().copied().unwrap_or(0));
            return Poll::Ready(written);
        }
        let none = || Box::new(Behind { patience: Patience::new(), over: None });
        let behind = self.behind.get_or_insert_with(none);
        let over = behind.over.get_or_insert_with(|| {
            let (clock, left) =
                (Arc::clone(&self.clock), behind.patience.wait(self.clock.now_ms()));
            Box::pin(async move { clock.sleep(left).await })
        });
        ready!(over.as_mut().poll(context));
        self.behind = None;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "too little is taken")))
    }

    /// Whoever takes all at once, as nearly everybody does, costs no look at the clock.
    fn took(&mut self, bytes: usize) {
        let Some(behind) = &mut self.behind else { return };
        behind.over = None;
        behind.patience.taken(bytes, self.clock.now_ms());
        if behind.patience.is_whole() {
            self.behind = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.first.is_empty() {
            return Pin::new(&mut this.socket).poll_read(context, into);
        }
        let piece = this.first.split_to(this.first.remaining().min(into.remaining()));
        into.put_slice(&piece);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write(context, from);
        this.watched(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write_vectored(context, from);
        this.watched(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    /// The socket is closed when this is dropped, and not before: a connection that is held after
    /// its last answer is not to look ended from the other end.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(context, into),
            Self::Unix(socket) => Pin::new(socket).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(context, from),
            Self::Unix(socket) => Pin::new(socket).poll_write(context, from),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write_vectored(context, from),
            Self::Unix(socket) => Pin::new(socket).poll_write_vectored(context, from),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(context),
            Self::Unix(socket) => Pin::new(socket).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::{
        io::{AsyncWriteExt, DuplexStream, duplex},
        time::Instant,
    };

    use super::*;
    use crate::{
        clock::{ManualClock, SystemClock},
        limits,
    };

    fn line(room: usize) -> (Line<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(room);
        (Line::new(ours, Arc::new(SystemClock)), theirs)
    }

    #[tokio::test]
    async fn the_first_bytes_say_what_is_spoken_and_are_read_again() {
        for (sent, version) in [
            (preface::HTTP2, Version::Two),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore", Version::Two),
            (b"PRI * HTTP/1.1\r\n\r\n", Version::One),
            (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", Version::One),
            (b"PRI", Version::One),
            (b"", Version::One),
        ] {
            let (mut line, mut theirs) = line(1024);
            theirs.write_all(sent).await.unwrap();
            theirs.shutdown().await.unwrap();
            assert_eq!(line.version().await.unwrap(), version);
            let mut read = Vec::new();
            line.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, sent);
        }
    }

    #[tokio::test]
    async fn first_bytes_that_come_one_by_one_are_put_together() {
        let (mut line, mut theirs) = line(1);
        let sending = async {
            theirs.write_all(preface::HTTP2).await.unwrap();
            theirs.shutdown().await.unwrap();
        };
        let reading = async {
            let version = line.version().await.unwrap();
            let mut read = Vec::new();
            line.read_to_end(&mut read).await.unwrap();
            (version, read)
        };
        let ((), (version, read)) = tokio::join!(sending, reading);
        assert_eq!((version, &*read), (Version::Two, preface::HTTP2));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_for_long_is_cut_off() {
        let (mut line, theirs) = line(8);
        let begun = Instant::now();
        let error = line.write_all(&[0; 9]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= limits::WRITE_STALLED);
        drop(theirs);
    }

    #[tokio::test]
    async fn who_takes_a_little_now_and_then_is_not_and_silence_is_no_stall() {
        let clock = ManualClock::at(0);
        let (ours, mut theirs) = duplex(8);
        let mut line = Line::new(ours, clock.clone());
        line.write_all(&[0; 8]).await.unwrap();
        // Nothing waits to be taken, for however long.
        clock.advance(10 * limits::WRITE_STALLED);
        // As slow as may be: eight bytes in the time that pays for them.
        let mut writing = Box::pin(line.write_all(&[0; 32]));
        for _ in 0..4 {
            assert!(writing.as_mut().now_or_never().is_none());
            clock.advance(limits::WRITE_BYTE_BUYS * 8);
            assert_eq!(theirs.read(&mut [0; 8]).await.unwrap(), 8);
        }
        writing.await.unwrap();
        drop(theirs);
    }

    #[tokio::test]
    async fn who_takes_a_few_bytes_each_time_just_before_the_end_is_cut_off_all_the_same() {
        let clock = ManualClock::at(0);
        let (ours, mut theirs) = duplex(8);
        let mut line = Line::new(ours, clock.clone());
        let mut writing = Box::pin(line.write_all(&[0; 32]));
        assert!(writing.as_mut().now_or_never().is_none());
        clock.advance(limits::WRITE_STALLED.mul_f32(0.99));
        assert_eq!(theirs.read(&mut [0; 8]).await.unwrap(), 8);
        assert!(writing.as_mut().now_or_never().is_none());
        clock.advance(Duration::from_secs(2));
        let error = writing.as_mut().now_or_never().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_is_behind_and_keeps_its_pace_is_waited_for_longer_than_who_does_not() {
        let clock = ManualClock::at(0);
        let (ours, mut theirs) = duplex(8 * 1024);
        let mut line = Line::new(ours, clock.clone());
        let sent = vec![0; 64 * 1024];
        let mut writing = Box::pin(line.write_all(&sent));
        // Each piece pays for less than the first of these waits, and for all of the others.
        for seconds in [118, 40, 40, 40, 40] {
            assert!(writing.as_mut().now_or_never().is_none());
            clock.advance(Duration::from_secs(seconds));
            theirs.read_exact(&mut vec![0; 8 * 1024]).await.unwrap();
        }
        assert!(writing.as_mut().now_or_never().is_none());
        drop(theirs);
        assert_eq!(writing.await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn who_has_caught_up_has_all_the_time_again() {
        let clock = ManualClock::at(0);
        let (ours, mut theirs) = duplex(64 * 1024);
        let mut line = Line::new(ours, clock.clone());
        let sent = vec![0; 128 * 1024];
        for _ in 0..3 {
            let mut writing = Box::pin(line.write_all(&sent));
            assert!(writing.as_mut().now_or_never().is_none());
            clock.advance(limits::WRITE_STALLED.mul_f32(0.99));
            let mut read = sent.clone();
            let (read, written) = tokio::join!(theirs.read_exact(&mut read), writing);
            assert_eq!((read.unwrap(), written.unwrap()), (sent.len(), ()));
            assert!(line.behind.is_none(), "nothing is kept of it");
        }
    }
}
