//! System calls by number: nothing here passes through the names that this library replaces.

use std::ffi::CStr;
use std::mem::MaybeUninit;

use libc::{c_char, c_int, c_long, c_void};

/// The kernel's answer, with `errno` set as the C library sets it.
pub fn set_errno(errno: c_int) {
    unsafe { *libc::__errno_location() = errno };
}

pub fn errno() -> c_int {
    unsafe { *libc::__errno_location() }
}

pub fn write_all(fd: c_int, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let done = unsafe { libc::syscall(libc::SYS_write, fd, bytes.as_ptr(), bytes.len()) };
        let Ok(done @ 1..) = usize::try_from(done) else {
            return;
        };
        bytes = &bytes[done..];
    }
}

pub fn open(path: &CStr, flags: c_int) -> c_int {
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            0o600,
        )
    };
    fd as c_int
}

pub fn close(fd: c_int) {
    unsafe { libc::syscall(libc::SYS_close, fd) };
}

fn read_link(path: &CStr) -> Option<String> {
    let mut buffer = [0_u8; 4096];
    let len = unsafe {
        libc::syscall(
            libc::SYS_readlinkat,
            libc::AT_FDCWD,
            path.as_ptr(),
            buffer.as_mut_ptr(),
            buffer.len(),
        )
    };
    let bytes = buffer.get(..usize::try_from(len).ok()?)?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

/// Where an open file lies now; `AT_FDCWD` is the working folder.
pub fn path_of(fd: c_int) -> Option<String> {
    if fd == libc::AT_FDCWD {
        return read_link(c"/proc/self/cwd");
    }
    let mut name = *b"/proc/self/fd/\0\0\0\0\0\0\0\0\0\0\0\0";
    let digits = fd.to_string();
    let end = 14 + digits.len();
    name.get_mut(14..end)?.copy_from_slice(digits.as_bytes());
    read_link(CStr::from_bytes_until_nul(&name).ok()?)
}

/// The absolute path of a name as given to an `…at` call.
pub fn resolve(folder: c_int, path: *const c_char) -> Option<String> {
    let path = unsafe { CStr::from_ptr(path) }
        .to_string_lossy()
        .into_owned();
    if path.starts_with('/') {
        return Some(path);
    }
    Some(format!("{}/{path}", path_of(folder)?))
}

#[derive(Clone, Copy, Debug)]
pub struct Stat {
    pub ino: u64,
    pub size: u64,
    pub is_folder: bool,
    pub is_file: bool,
}

fn stat(call: impl FnOnce(*mut libc::stat) -> c_long) -> Option<Stat> {
    let saved = errno();
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    let done = call(stat.as_mut_ptr());
    set_errno(saved);
    if done != 0 {
        return None;
    }
    let stat = unsafe { stat.assume_init() };
    Some(Stat {
        ino: stat.st_ino,
        size: stat.st_size as u64,
        is_folder: stat.st_mode & libc::S_IFMT == libc::S_IFDIR,
        is_file: stat.st_mode & libc::S_IFMT == libc::S_IFREG,
    })
}

pub fn stat_of(fd: c_int) -> Option<Stat> {
    stat(|out| unsafe { libc::syscall(libc::SYS_fstat, fd, out) })
}

pub fn stat_at(folder: c_int, path: *const c_char) -> Option<Stat> {
    stat(|out| unsafe {
        libc::syscall(
            libc::SYS_newfstatat,
            folder,
            path,
            out,
            libc::AT_SYMLINK_NOFOLLOW,
        )
    })
}

pub fn position(fd: c_int) -> u64 {
    let flags = unsafe { libc::syscall(libc::SYS_fcntl, fd, libc::F_GETFL, 0) };
    if flags as c_int & libc::O_APPEND != 0 {
        return stat_of(fd).map_or(0, |stat| stat.size);
    }
    let at = unsafe { libc::syscall(libc::SYS_lseek, fd, 0, libc::SEEK_CUR) };
    u64::try_from(at).unwrap_or(0)
}

/// What a whole file says.
pub fn read_small(path: &CStr) -> Option<String> {
    let saved = errno();
    let fd = open(path, libc::O_RDONLY | libc::O_CLOEXEC);
    set_errno(saved);
    if fd < 0 {
        return None;
    }
    let mut buffer = [0_u8; 64];
    let len =
        unsafe { libc::syscall(libc::SYS_read, fd, buffer.as_mut_ptr().cast::<c_void>(), 64) };
    close(fd);
    let bytes = buffer.get(..usize::try_from(len).ok()?)?;
    Some(String::from_utf8_lossy(bytes).trim().to_owned())
}

pub fn die() -> ! {
    loop {
        unsafe { libc::syscall(libc::SYS_kill, libc::getpid(), libc::SIGKILL) };
    }
}
