//! Shared libraries that may be there or not: loaded at run time by name or path, for NVRTC here and for the CUDA driver in
//! the tests that compare with a real GPU. Unix only; elsewhere nothing is ever there.

use std::ffi::CStr;
use std::path::Path;

/// A loaded library. It stays loaded until the program ends.
pub struct Library {
    #[cfg_attr(not(unix), expect(dead_code, reason = "there never is one"))]
    handle: *mut std::ffi::c_void,
}

#[cfg(unix)]
unsafe extern "C" {
    fn dlopen(path: *const std::ffi::c_char, flags: std::ffi::c_int) -> *mut std::ffi::c_void;
    fn dlsym(handle: *mut std::ffi::c_void, name: *const std::ffi::c_char) -> *mut std::ffi::c_void;
}

impl Library {
    /// Loads the library of this path, or of this name where the system looks for libraries; what failed, where it cannot.
    ///
    /// # Errors
    /// There is no such library, or this system is no Unix.
    #[cfg(unix)]
    pub fn open(path: &Path) -> Result<Library, String> {
        use std::os::unix::ffi::OsStrExt;
        const RTLD_NOW: std::ffi::c_int = 2;
        let name = std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(|e| e.to_string())?;
        // SAFETY: a path with a final zero; the libraries are NVIDIA's, whose constructors need nothing of us.
        let handle = unsafe { dlopen(name.as_ptr(), RTLD_NOW) };
        if handle.is_null() {
            Err(format!("{} cannot be loaded", path.display()))
        } else {
            Ok(Library { handle })
        }
    }

    /// Never loads anything.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(unix))]
    pub fn open(_: &Path) -> Result<Library, String> {
        Err("only Unix systems are supported".into())
    }

    /// A function of the library.
    ///
    /// # Errors
    /// It has none of this name.
    ///
    /// # Safety
    /// `F` must be the type of a pointer to that function.
    pub unsafe fn function<F: Copy>(&self, name: &CStr) -> Result<F, String> {
        #[cfg(unix)]
        // SAFETY: the handle is of a loaded library, the name ends with zero.
        let found = unsafe { dlsym(self.handle, name.as_ptr()) };
        #[cfg(not(unix))]
        let found = std::ptr::null_mut::<std::ffi::c_void>();
        if found.is_null() || size_of::<F>() != size_of_val(&found) {
            return Err(format!("no function {name:?}"));
        }
        // SAFETY: of the same size, and of that type, as the caller promises.
        Ok(unsafe { std::mem::transmute_copy(&found) })
    }
}
