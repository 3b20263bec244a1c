//! Which extended attributes of an image's files are kept.

/// Marks a directory that hides its namesakes in the layers below (kernel, filesystems/overlayfs, "whiteouts").
pub const OPAQUE: &str = "trusted.overlay.opaque";

/// Marks a directory that may hold whiteouts although no other layer has it, so that overlayfs hides them from who lists
/// it (kernel, fs/overlayfs/inode.c, "non-merge dir that may have whiteouts"). Its value is empty.
pub const ORIGIN: &str = "trusted.overlay.origin";

/// Name and value.
pub type Xattr = (Vec<u8>, Vec<u8>);

/// Those that an image may set.
pub fn allowed(xattrs: Vec<Xattr>) -> Vec<Xattr> {
    xattrs.into_iter().filter(|(name, _)| is_image_xattr(name)).collect()
}

/// Whether an image may set this extended attribute.
///
/// `trusted.*` steers the kernel's overlayfs and would let an image reach into other layers; so would
/// `user.overlay.*` in mounts without root. Of `security.*` only file capabilities mean the same on every host.
pub fn is_image_xattr(name: &[u8]) -> bool {
    (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
        || name == b"security.capability"
        || name.starts_with(b"system.posix_acl_")
}
