//! Memory of the program: results through pointers, texts, and buffers to copy from and to. The only file that follows pointers of
//! the caller; each function refuses null.

use crate::failure::{Code, Failure};
use std::ffi::{CStr, c_char, c_void};

fn null(what: &str) -> Failure {
    Failure::new(Code::InvalidValue, format!("{what} is a null pointer"))
}

/// Gives a result.
///
/// # Safety
/// `place` is null or may be written.
pub unsafe fn put<T>(place: *mut T, value: T, what: &str) -> Result<(), Failure> {
    if place.is_null() {
        return Err(null(what));
    }
    // SAFETY: not null, so a place for a `T`, as the caller promises.
    unsafe { place.write(value) };
    Ok(())
}

/// Reads a value.
///
/// # Safety
/// `place` is null or may be read.
pub unsafe fn get<T: Copy>(place: *const T, what: &str) -> Result<T, Failure> {
    if place.is_null() {
        return Err(null(what));
    }
    // SAFETY: not null, so it may be read, as the caller promises; the alignment is not relied on.
    Ok(unsafe { place.read_unaligned() })
}

/// A text.
///
/// # Safety
/// `text` is null or ends with a zero.
pub unsafe fn text(text: *const c_char, what: &str) -> Result<String, Failure> {
    if text.is_null() {
        return Err(null(what));
    }
    // SAFETY: not null, so a text that ends with a zero, as the caller promises.
    let bytes = unsafe { CStr::from_ptr(text) };
    Ok(bytes.to_string_lossy().into_owned())
}

/// Bytes to read.
///
/// # Safety
/// `from` is null or has so many bytes, which nobody writes while the result lives.
pub unsafe fn bytes<'a>(from: *const c_void, count: usize, what: &str) -> Result<&'a [u8], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    if from.is_null() {
        return Err(null(what));
    }
    // SAFETY: as the caller promises.
    Ok(unsafe { std::slice::from_raw_parts(from.cast(), count) })
}

/// Copies bytes to the program.
///
/// # Safety
/// `to` is null or has room for them.
pub unsafe fn fill(to: *mut c_void, from: &[u8], what: &str) -> Result<(), Failure> {
    if from.is_empty() {
        return Ok(());
    }
    if to.is_null() {
        return Err(null(what));
    }
    // SAFETY: room for as many bytes, as the caller promises; our own memory does not overlap it.
    unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to.cast(), from.len()) };
    Ok(())
}
