//! Stands in front of the C library's file calls of one process, for one folder.
//!
//! It records every change, every sync and every printed line in the order in which they happen, and it can kill the
//! process or fail a call at the n-th occasion. Calls go to the kernel by number, so no lookup of the real names is needed and
//! nothing here can call itself. Files are known by what `/proc` says of their descriptor: no table, so duplicated and
//! inherited descriptors are seen as well. What cannot be followed (shared mappings, links) is recorded as
//! `Unseen`, and a trace with such a record proves nothing.
//!
//! It knows nothing of the program it watches. Its order of reading: `record plan raw watch`, then the calls here.

mod plan;
mod raw;
pub mod record;
mod watch;

use std::slice;

use libc::{c_char, c_int, c_long, c_uint, c_void, iovec, mode_t, off64_t, size_t, ssize_t};

use plan::Kind;
use raw::Stat;
use record::Record;
use watch::{Call, Part, Watch, watch};

/// An open file below the watched folder: its path there, and what it is.
fn file_of(fd: c_int) -> Option<(&'static Watch, String, Stat)> {
    let watch = watch()?;
    let stat = raw::stat_of(fd).filter(|stat| stat.is_file || stat.is_folder)?;
    let path = raw::path_of(fd)?;
    let below = watch.below(&path)?.to_owned();
    Some((watch, below, stat))
}

fn name_of(folder: c_int, path: *const c_char) -> Option<(&'static Watch, String)> {
    let watch = watch()?;
    let path = raw::resolve(folder, path)?;
    let below = watch.below(&path)?.to_owned();
    Some((watch, below))
}

unsafe fn open_at(folder: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    let act = || unsafe { libc::syscall(libc::SYS_openat, folder, path, flags, mode) };
    if flags & (libc::O_CREAT | libc::O_TRUNC) == 0 {
        return act() as c_int;
    }
    let Some((watch, below)) = name_of(folder, path) else {
        return act() as c_int;
    };
    let before = raw::stat_at(folder, path);
    if before.is_some() && flags & libc::O_TRUNC == 0 {
        return act() as c_int;
    }
    let (kind, grows) = match before {
        Some(stat) => (Kind::Truncate, -(stat.size as i64)),
        None => (Kind::Create, 0),
    };
    let ino = before.map_or(0, |stat| stat.ino);
    let call = Call {
        kind,
        path: &below,
        ino,
        grows,
    };
    let record = |fd: c_long| {
        let ino = raw::stat_of(fd as c_int).map_or(0, |stat| stat.ino);
        vec![match before {
            Some(_) => Record::Truncate { ino, len: 0 },
            None => Record::Create {
                ino,
                path: below.clone(),
            },
        }]
    };
    watch.around(&call, |_| act(), record) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    unsafe { open_at(libc::AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    unsafe { open_at(libc::AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat(
    dir: c_int,
    path: *const c_char,
    flags: c_int,
    mode: c_uint,
) -> c_int {
    unsafe { open_at(dir, path, flags, mode) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat64(
    dir: c_int,
    path: *const c_char,
    flags: c_int,
    mode: c_uint,
) -> c_int {
    unsafe { open_at(dir, path, flags, mode) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn creat(path: *const c_char, mode: mode_t) -> c_int {
    unsafe {
        open_at(
            libc::AT_FDCWD,
            path,
            libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC,
            mode,
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn creat64(path: *const c_char, mode: mode_t) -> c_int {
    unsafe { creat(path, mode) }
}

/// One write of these bytes at `at`, by `act`, which is told how many of them to write.
fn write_bytes(
    fd: c_int,
    bytes: &[u8],
    at: Option<u64>,
    act: impl FnOnce(usize) -> c_long,
) -> c_long {
    let Some((watch, path, stat)) = file_of(fd) else {
        return act(bytes.len());
    };
    let at = at.unwrap_or_else(|| raw::position(fd));
    let grows = (at + bytes.len() as u64).saturating_sub(stat.size) as i64;
    let call = Call {
        kind: Kind::Write,
        path: &path,
        ino: stat.ino,
        grows,
    };
    let part_of = |part| match part {
        Part::Whole => bytes.len(),
        Part::Half => bytes.len().div_ceil(2),
    };
    let record = |done: c_long| {
        let done = usize::try_from(done).unwrap_or(0);
        vec![Record::Write {
            ino: stat.ino,
            at,
            bytes: bytes[..done].to_vec(),
        }]
    };
    watch.around(&call, |part| act(part_of(part)), record)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, buffer: *const c_void, count: size_t) -> ssize_t {
    let act = |count: usize| unsafe { libc::syscall(libc::SYS_write, fd, buffer, count) };
    if count == 0 {
        return act(0) as ssize_t;
    }
    let bytes = unsafe { slice::from_raw_parts(buffer.cast::<u8>(), count) };
    if fd == 1
        && let Some(watch) = watch().filter(|watch| watch.has_work_with_output())
    {
        return watch.said(bytes, || act(count)) as ssize_t;
    }
    write_bytes(fd, bytes, None, act) as ssize_t
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(
    fd: c_int,
    buffer: *const c_void,
    count: size_t,
    at: off64_t,
) -> ssize_t {
    let act = |count: usize| unsafe { libc::syscall(libc::SYS_pwrite64, fd, buffer, count, at) };
    if count == 0 {
        return act(0) as ssize_t;
    }
    let bytes = unsafe { slice::from_raw_parts(buffer.cast::<u8>(), count) };
    write_bytes(fd, bytes, Some(at as u64), act) as ssize_t
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite(
    fd: c_int,
    buffer: *const c_void,
    count: size_t,
    at: off64_t,
) -> ssize_t {
    unsafe { pwrite64(fd, buffer, count, at) }
}

/// Several pieces are written as one, which is what the kernel does with them.
unsafe fn gather(pieces: *const iovec, count: c_int) -> Vec<u8> {
    let pieces = unsafe { slice::from_raw_parts(pieces, usize::try_from(count).unwrap_or(0)) };
    let mut all = Vec::new();
    for piece in pieces.iter().filter(|piece| piece.iov_len > 0) {
        all.extend_from_slice(unsafe {
            slice::from_raw_parts(piece.iov_base.cast::<u8>(), piece.iov_len)
        });
    }
    all
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t {
    if count <= 0 || file_of(fd).is_none() {
        return unsafe { libc::syscall(libc::SYS_writev, fd, pieces, count) } as ssize_t;
    }
    let all = unsafe { gather(pieces, count) };
    unsafe { write(fd, all.as_ptr().cast(), all.len()) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwritev64(
    fd: c_int,
    pieces: *const iovec,
    count: c_int,
    at: off64_t,
) -> ssize_t {
    let all = unsafe { gather(pieces, count.max(0)) };
    unsafe { pwrite64(fd, all.as_ptr().cast(), all.len(), at) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwritev(
    fd: c_int,
    pieces: *const iovec,
    count: c_int,
    at: off64_t,
) -> ssize_t {
    unsafe { pwritev64(fd, pieces, count, at) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate64(fd: c_int, len: off64_t) -> c_int {
    let act = || unsafe { libc::syscall(libc::SYS_ftruncate, fd, len) };
    let Some((watch, path, stat)) = file_of(fd) else {
        return act() as c_int;
    };
    let grows = len - stat.size as i64;
    let call = Call {
        kind: Kind::Truncate,
        path: &path,
        ino: stat.ino,
        grows,
    };
    let record = |_| {
        vec![Record::Truncate {
            ino: stat.ino,
            len: len as u64,
        }]
    };
    watch.around(&call, |_| act(), record) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate(fd: c_int, len: off64_t) -> c_int {
    unsafe { ftruncate64(fd, len) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fallocate64(fd: c_int, mode: c_int, at: off64_t, len: off64_t) -> c_int {
    let act = || unsafe { libc::syscall(libc::SYS_fallocate, fd, mode, at, len) };
    let Some((watch, path, stat)) = file_of(fd) else {
        return act() as c_int;
    };
    if mode != 0 {
        watch.unseen(format!("fallocate of {path} with mode {mode}"));
    }
    let end = (at + len) as u64;
    let grows = end.saturating_sub(stat.size) as i64;
    let call = Call {
        kind: Kind::Allocate,
        path: &path,
        ino: stat.ino,
        grows,
    };
    let record = |_| vec![Record::Allocate { ino: stat.ino, end }];
    watch.around(&call, |_| act(), record) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fallocate(fd: c_int, mode: c_int, at: off64_t, len: off64_t) -> c_int {
    unsafe { fallocate64(fd, mode, at, len) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_fallocate64(fd: c_int, at: off64_t, len: off64_t) -> c_int {
    if unsafe { fallocate64(fd, 0, at, len) } == 0 {
        0
    } else {
        raw::errno()
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_fallocate(fd: c_int, at: off64_t, len: off64_t) -> c_int {
    unsafe { posix_fallocate64(fd, at, len) }
}

fn sync_by(fd: c_int, number: c_long) -> c_int {
    let act = || unsafe { libc::syscall(number, fd) };
    let Some((watch, path, stat)) = file_of(fd) else {
        return act() as c_int;
    };
    let kind = if stat.is_folder {
        Kind::SyncFolder
    } else {
        Kind::Sync
    };
    let call = Call {
        kind,
        path: &path,
        ino: stat.ino,
        grows: 0,
    };
    let record = |_| {
        vec![if stat.is_folder {
            Record::SyncFolder { path: path.clone() }
        } else {
            Record::Sync { ino: stat.ino }
        }]
    };
    watch.around(&call, |_| act(), record) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    sync_by(fd, libc::SYS_fsync)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    sync_by(fd, libc::SYS_fdatasync)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sync_file_range(
    fd: c_int,
    at: off64_t,
    len: off64_t,
    flags: c_uint,
) -> c_int {
    let act = || unsafe { libc::syscall(libc::SYS_sync_file_range, fd, at, len, flags) };
    let Some((watch, path, stat)) = file_of(fd) else {
        return act() as c_int;
    };
    let call = Call {
        kind: Kind::Range,
        path: &path,
        ino: stat.ino,
        grows: 0,
    };
    watch.around(&call, |_| act(), |_| vec![Record::Range { ino: stat.ino }]) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdirat(dir: c_int, path: *const c_char, mode: mode_t) -> c_int {
    let act = || unsafe { libc::syscall(libc::SYS_mkdirat, dir, path, mode) };
    let Some((watch, below)) = name_of(dir, path) else {
        return act() as c_int;
    };
    let call = Call {
        kind: Kind::Folder,
        path: &below,
        ino: 0,
        grows: 0,
    };
    watch.around(
        &call,
        |_| act(),
        |_| {
            vec![Record::Folder {
                path: below.clone(),
            }]
        },
    ) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    unsafe { mkdirat(libc::AT_FDCWD, path, mode) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn renameat2(
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
    flags: c_uint,
) -> c_int {
    let act = || unsafe { libc::syscall(libc::SYS_renameat2, from_dir, from, to_dir, to, flags) };
    match (name_of(from_dir, from), name_of(to_dir, to)) {
        (Some((watch, source)), Some((_, target))) => {
            let call = Call {
                kind: Kind::Rename,
                path: &target,
                ino: 0,
                grows: 0,
            };
            let record = |_| {
                vec![Record::Rename {
                    from: source.clone(),
                    to: target.clone(),
                }]
            };
            watch.around(&call, |_| act(), record) as c_int
        }
        (None, None) => act() as c_int,
        (Some((watch, path)), None) | (None, Some((watch, path))) => {
            watch.unseen(format!("rename across the border: {path}"));
            act() as c_int
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn renameat(
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
) -> c_int {
    unsafe { renameat2(from_dir, from, to_dir, to, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    unsafe { renameat2(libc::AT_FDCWD, from, libc::AT_FDCWD, to, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlinkat(dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    let act = || unsafe { libc::syscall(libc::SYS_unlinkat, dir, path, flags) };
    let Some((watch, below)) = name_of(dir, path) else {
        return act() as c_int;
    };
    let stat = raw::stat_at(dir, path);
    let grows = -stat
        .filter(|stat| stat.is_file)
        .map_or(0, |stat| stat.size as i64);
    let call = Call {
        kind: Kind::Remove,
        path: &below,
        ino: 0,
        grows,
    };
    let record = |_| {
        vec![if flags & libc::AT_REMOVEDIR == 0 {
            Record::Remove {
                path: below.clone(),
            }
        } else {
            Record::RemoveFolder {
                path: below.clone(),
            }
        }]
    };
    watch.around(&call, |_| act(), record) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    unsafe { unlinkat(libc::AT_FDCWD, path, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    unsafe { unlinkat(libc::AT_FDCWD, path, libc::AT_REMOVEDIR) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn linkat(
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
    flags: c_int,
) -> c_int {
    if let Some((watch, path)) = name_of(to_dir, to) {
        watch.unseen(format!("link to {path}"));
    }
    unsafe { libc::syscall(libc::SYS_linkat, from_dir, from, to_dir, to, flags) as c_int }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn link(from: *const c_char, to: *const c_char) -> c_int {
    unsafe { linkat(libc::AT_FDCWD, from, libc::AT_FDCWD, to, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap64(
    at: *mut c_void,
    len: size_t,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    from: off64_t,
) -> *mut c_void {
    let writes = protection & libc::PROT_WRITE != 0 && flags & libc::MAP_SHARED != 0;
    if writes
        && fd >= 0
        && let Some((watch, path, _)) = file_of(fd)
    {
        watch.unseen(format!("a shared mapping of {path}"));
    }
    unsafe { libc::syscall(libc::SYS_mmap, at, len, protection, flags, fd, from) as *mut c_void }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap(
    at: *mut c_void,
    len: size_t,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    from: off64_t,
) -> *mut c_void {
    unsafe { mmap64(at, len, protection, flags, fd, from) }
}

/// The kernel's own copying is refused, so that the program falls back on writes that can be seen.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn copy_file_range(
    from: c_int,
    from_at: *mut off64_t,
    to: c_int,
    to_at: *mut off64_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    if file_of(to).is_some() {
        raw::set_errno(libc::ENOSYS);
        return -1;
    }
    unsafe {
        libc::syscall(
            libc::SYS_copy_file_range,
            from,
            from_at,
            to,
            to_at,
            len,
            flags,
        ) as ssize_t
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendfile64(
    to: c_int,
    from: c_int,
    at: *mut off64_t,
    len: size_t,
) -> ssize_t {
    if file_of(to).is_some() {
        raw::set_errno(libc::ENOSYS);
        return -1;
    }
    unsafe { libc::syscall(libc::SYS_sendfile, to, from, at, len) as ssize_t }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendfile(
    to: c_int,
    from: c_int,
    at: *mut off64_t,
    len: size_t,
) -> ssize_t {
    unsafe { sendfile64(to, from, at, len) }
}

/// Free space as the disk is said to have it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn statvfs64(path: *const c_char, out: *mut libc::statvfs) -> c_int {
    let mut stat = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    let done = unsafe { libc::syscall(libc::SYS_statfs, path, stat.as_mut_ptr()) };
    if done != 0 {
        return done as c_int;
    }
    let stat = unsafe { stat.assume_init() };
    let mut whole = unsafe { std::mem::zeroed::<libc::statvfs>() };
    whole.f_bsize = stat.f_bsize as u64;
    whole.f_frsize = if stat.f_frsize == 0 {
        stat.f_bsize
    } else {
        stat.f_frsize
    } as u64;
    whole.f_blocks = stat.f_blocks;
    whole.f_bfree = stat.f_bfree;
    whole.f_bavail = stat.f_bavail;
    whole.f_files = stat.f_files;
    whole.f_ffree = stat.f_ffree;
    whole.f_favail = stat.f_ffree;
    whole.f_namemax = stat.f_namelen as u64;
    if let Some(left) = watch().and_then(Watch::left) {
        whole.f_bavail = u64::try_from(left).unwrap_or(0) / whole.f_frsize.max(1);
        whole.f_bfree = whole.f_bavail;
    }
    unsafe { out.write(whole) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn statvfs(path: *const c_char, out: *mut libc::statvfs) -> c_int {
    unsafe { statvfs64(path, out) }
}
