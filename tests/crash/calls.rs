//! The functions of libc that change files, defined in this binary, so that std, sled and the
//! store call them here. They do what libc does, and tell the watch (see `disk`) what that was.

#![expect(
    clippy::collapsible_if,
    clippy::cast_possible_truncation,
    reason = "guards are taken in a fixed order; system calls answer with a long"
)]
#![expect(unsafe_code, reason = "functions of libc are replaced, and called by system call")]

use std::{
    ffi::CStr,
    os::{fd::RawFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
    sync::{MutexGuard, atomic::Ordering},
};

use libc::{c_char, c_int, c_long, c_uint, c_void, mode_t, off_t, size_t, ssize_t};

use crate::disk::{CALLS_LEFT, IS_WATCHING, Node, Op, Task, Watched, watched_now};

/// The watched folder's state, if a watch is on and the descriptor is one of its files.
fn of_file(fd: RawFd) -> Option<(MutexGuard<'static, Option<Watched>>, Node)> {
    if !IS_WATCHING.load(Ordering::SeqCst) {
        return None;
    }
    let guard = watched_now();
    let node = *guard.as_ref()?.open.get(&fd)?;
    Some((guard, node))
}

/// The watched folder's state, if a watch is on and the path is in it, with the path inside it.
fn of_path(path: *const c_char) -> Option<(MutexGuard<'static, Option<Watched>>, PathBuf)> {
    if !IS_WATCHING.load(Ordering::SeqCst) || path.is_null() {
        return None;
    }
    // SAFETY: the caller of the libc function hands in a string that ends with NUL.
    let path = unsafe { CStr::from_ptr(path) };
    let path = Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
    let guard = watched_now();
    let inside = path.strip_prefix(&guard.as_ref()?.root).ok()?.to_owned();
    Some((guard, inside))
}

/// Counts down to the end of the process, where one was asked for.
fn tick() {
    if CALLS_LEFT.load(Ordering::Relaxed) >= 0 && CALLS_LEFT.fetch_sub(1, Ordering::SeqCst) == 0 {
        // SAFETY: it ends this process, as is wanted.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
}

fn set_errno(errno: c_int) {
    // SAFETY: it is this thread's own errno.
    unsafe { *libc::__errno_location() = errno };
}

fn length(fd: RawFd) -> u64 {
    // SAFETY: zeroes are a valid stat; fstat fills it in.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the reference is valid for the call; a bad descriptor gives an error.
    if unsafe { libc::fstat(fd, &raw mut stat) } == 0 { stat.st_size.cast_unsigned() } else { 0 }
}

fn int(value: c_long) -> c_int {
    c_int::try_from(value).unwrap_or(-1)
}

fn open_at(folder: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    if flags & (libc::O_CREAT | libc::O_TRUNC) != 0 {
        tick();
    }
    let watched = of_path(path);
    // SAFETY: the arguments are those of the caller.
    let fd = int(unsafe { libc::syscall(libc::SYS_openat, folder, path, flags, mode) });
    if let (Some((mut guard, path)), true) = (watched, fd >= 0) {
        if let Some(watched) = guard.as_mut() {
            let known = watched.paths.get(&path).copied();
            let node = known.unwrap_or_else(|| watched.made(&path, false));
            if known.is_some() && flags & libc::O_TRUNC != 0 {
                watched.push(Op::SetLen { file: node, len: 0 });
            }
            watched.open.insert(fd, node);
        }
    }
    fd
}

/// Writes with `write`, unless there is no room, and records what was written where.
fn written(
    fd: c_int,
    end: impl Fn(u64) -> u64,
    content: impl Fn(usize) -> Vec<u8>,
    write: impl FnOnce() -> ssize_t,
    place: impl FnOnce(usize) -> u64,
) -> ssize_t {
    if fd > 2 {
        tick();
    }
    let Some((mut guard, file)) = of_file(fd) else { return write() };
    let Some(watched) = guard.as_mut() else { return write() };
    let len = length(fd);
    if !watched.take_room(end(len).saturating_sub(len)) {
        set_errno(libc::ENOSPC);
        return -1;
    }
    let count = write();
    if let Ok(done) = usize::try_from(count) {
        watched.push(Op::Write { file, at: place(done), bytes: content(done) });
    }
    count
}

fn copied(buffer: *const c_void, count: usize) -> Vec<u8> {
    // SAFETY: the kernel has just read this many bytes from there.
    unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), count) }.to_vec()
}

fn position(fd: c_int) -> u64 {
    // SAFETY: it moves nothing; a bad descriptor gives an error.
    unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) }.max(0).cast_unsigned()
}

fn write_at(fd: c_int, buffer: *const c_void, count: size_t, at: off_t) -> ssize_t {
    let begin = at.max(0).cast_unsigned();
    written(
        fd,
        |_| begin + count as u64,
        |done| copied(buffer, done),
        // SAFETY: the arguments are those of the caller.
        || unsafe { libc::syscall(libc::SYS_pwrite64, fd, buffer, count, at) as ssize_t },
        |_| begin,
    )
}

fn synced(fd: c_int, call: c_long) -> c_int {
    tick();
    if let Some((mut guard, node)) = of_file(fd) {
        let Some(watched) = guard.as_mut() else { return 0 };
        let is_folder = watched.recording.nodes.get(node).is_some_and(|made| made.is_folder);
        if watched.task == Task::FailSyncs && !is_folder {
            set_errno(libc::EIO);
            return -1;
        }
        let before = watched.recording.ops.len();
        // Between the two, others may write: this sync does not answer for what they did.
        drop(guard);
        std::thread::yield_now();
        if let Some(watched) = watched_now().as_mut() {
            watched.push(if is_folder {
                Op::SyncFolder { folder: node, before }
            } else {
                Op::SyncFile { file: node, before }
            });
        }
        return 0;
    }
    // SAFETY: the arguments are those of the caller.
    int(unsafe { libc::syscall(call, fd) })
}

fn set_length(fd: c_int, len: off_t) -> c_int {
    tick();
    let watched = of_file(fd);
    let (now, then) = (length(fd), len.max(0).cast_unsigned());
    // SAFETY: the arguments are those of the caller.
    let done = int(unsafe { libc::syscall(libc::SYS_ftruncate, fd, len) });
    if let (Some((mut guard, file)), 0) = (watched, done) {
        if let Some(watched) = guard.as_mut() {
            watched.push(Op::SetLen { file, len: then });
            watched.give_room(now.saturating_sub(then));
        }
    }
    done
}

/// As `posix_fallocate`, which answers with the error itself.
fn allocated(fd: c_int, at: off_t, len: off_t) -> c_int {
    tick();
    let watched = of_file(fd);
    let end = (at + len).max(0).cast_unsigned();
    if let Some((mut guard, file)) = watched {
        let Some(watched) = guard.as_mut() else { return libc::EIO };
        if !watched.take_room(end.saturating_sub(length(fd))) {
            return libc::ENOSPC;
        }
        watched.push(Op::Extend { file, len: end });
    }
    // SAFETY: the arguments are those of the caller.
    if unsafe { libc::syscall(libc::SYS_fallocate, fd, 0, at, len) } == 0 {
        0
    } else {
        std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
    }
}

fn removed(path: *const c_char, flags: c_int) -> c_int {
    tick();
    let watched = of_path(path);
    let len = std::cell::Cell::new(0);
    if let Some((guard, inside)) = &watched {
        let root = guard.as_ref().map(|watched| watched.root.join(inside));
        len.set(root.and_then(|path| path.metadata().ok()).map_or(0, |found| found.len()));
    }
    // SAFETY: the arguments are those of the caller.
    let done = int(unsafe { libc::syscall(libc::SYS_unlinkat, libc::AT_FDCWD, path, flags) });
    if let (Some((mut guard, path)), 0) = (watched, done) {
        if let Some(watched) = guard.as_mut() {
            watched.removed(&path);
            watched.give_room(len.get());
        }
    }
    done
}

macro_rules! replaced {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty $body:block)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name($($argument: $type),*) -> $answer $body
        )*
    };
}

// The mode of `open` is a variable argument in C; on Linux it is passed like any other.
replaced! {
    fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
        open_at(libc::AT_FDCWD, path, flags, mode)
    }
    fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
        open_at(libc::AT_FDCWD, path, flags, mode)
    }
    fn openat(folder: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
        open_at(folder, path, flags, mode)
    }
    fn openat64(folder: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
        open_at(folder, path, flags, mode)
    }
    fn close(fd: c_int) -> c_int {
        let watched = of_file(fd);
        if let Some((mut guard, _)) = watched {
            if let Some(watched) = guard.as_mut() {
                watched.open.remove(&fd);
            }
        }
        // SAFETY: the argument is the caller's.
        int(unsafe { libc::syscall(libc::SYS_close, fd) })
    }
    fn pwrite(fd: c_int, buffer: *const c_void, count: size_t, at: off_t) -> ssize_t {
        write_at(fd, buffer, count, at)
    }
    fn pwrite64(fd: c_int, buffer: *const c_void, count: size_t, at: off_t) -> ssize_t {
        write_at(fd, buffer, count, at)
    }
    fn write(fd: c_int, buffer: *const c_void, count: size_t) -> ssize_t {
        written(
            fd,
            |_| position(fd) + count as u64,
            |done| copied(buffer, done),
            // SAFETY: the arguments are those of the caller.
            || unsafe { libc::syscall(libc::SYS_write, fd, buffer, count) as ssize_t },
            |done| position(fd) - done as u64,
        )
    }
    fn writev(fd: c_int, parts: *const libc::iovec, count: c_int) -> ssize_t {
        // SAFETY: the caller hands in this many parts.
        let all = || unsafe { std::slice::from_raw_parts(parts, usize::try_from(count).unwrap_or(0)) };
        written(
            fd,
            |_| position(fd) + all().iter().map(|part| part.iov_len as u64).sum::<u64>(),
            |done| {
                let bytes = all().iter().flat_map(|part| copied(part.iov_base, part.iov_len));
                bytes.take(done).collect()
            },
            // SAFETY: the arguments are those of the caller.
            || unsafe { libc::syscall(libc::SYS_writev, fd, parts, count) as ssize_t },
            |done| position(fd) - done as u64,
        )
    }
    fn fdatasync(fd: c_int) -> c_int {
        synced(fd, libc::SYS_fdatasync)
    }
    fn fsync(fd: c_int) -> c_int {
        synced(fd, libc::SYS_fsync)
    }
    fn sync_file_range(fd: c_int, at: off_t, len: off_t, flags: c_uint) -> c_int {
        // It saves neither lengths nor what is in the disk's cache: nothing that could be relied on.
        // SAFETY: the arguments are those of the caller.
        int(unsafe { libc::syscall(libc::SYS_sync_file_range, fd, at, len, flags) })
    }
    fn ftruncate(fd: c_int, len: off_t) -> c_int {
        set_length(fd, len)
    }
    fn ftruncate64(fd: c_int, len: off_t) -> c_int {
        set_length(fd, len)
    }
    fn posix_fallocate(fd: c_int, at: off_t, len: off_t) -> c_int {
        allocated(fd, at, len)
    }
    fn posix_fallocate64(fd: c_int, at: off_t, len: off_t) -> c_int {
        allocated(fd, at, len)
    }
    fn rename(from: *const c_char, to: *const c_char) -> c_int {
        tick();
        let inside = of_path(from).map(|(_, path)| path);
        let watched = of_path(to);
        let here = libc::AT_FDCWD;
        // SAFETY: the arguments are those of the caller.
        let done = int(unsafe { libc::syscall(libc::SYS_renameat2, here, from, here, to, 0) });
        if let (Some(from), Some((mut guard, to)), 0) = (inside, watched, done) {
            if let Some(watched) = guard.as_mut() {
                watched.moved(&from, &to);
            }
        }
        done
    }
    fn statvfs(path: *const c_char, found: *mut libc::statvfs) -> c_int {
        let left = of_path(path).and_then(|(guard, _)| match guard.as_ref()?.task {
            Task::Room(left) => Some(left),
            Task::Record | Task::FailSyncs => None,
        });
        // SAFETY: zeroes are a valid answer, and statfs fills it in.
        let mut real: libc::statfs = unsafe { std::mem::zeroed() };
        // SAFETY: the path is the caller's, and the place for the answer is valid for the call.
        if unsafe { libc::syscall(libc::SYS_statfs, path, &raw mut real) } != 0 {
            return -1;
        }
        // SAFETY: the caller hands in a place for the answer.
        let Some(found) = (unsafe { found.as_mut() }) else { return -1 };
        // SAFETY: zeroes are a valid answer.
        *found = unsafe { std::mem::zeroed() };
        // What the store asks for, and no more.
        found.f_frsize = if left.is_some() { 1 } else { real.f_frsize.unsigned_abs() };
        found.f_bavail = left.unwrap_or(real.f_bavail);
        0
    }
    fn unlink(path: *const c_char) -> c_int {
        removed(path, 0)
    }
    fn rmdir(path: *const c_char) -> c_int {
        removed(path, libc::AT_REMOVEDIR)
    }
    fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
        tick();
        let watched = of_path(path);
        // SAFETY: the arguments are those of the caller.
        let done = int(unsafe { libc::syscall(libc::SYS_mkdirat, libc::AT_FDCWD, path, mode) });
        if let (Some((mut guard, path)), 0) = (watched, done) {
            if let Some(watched) = guard.as_mut() {
                watched.made(&path, true);
            }
        }
        done
    }
}
