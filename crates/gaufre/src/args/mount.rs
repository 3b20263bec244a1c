//! `--mount`: the longer words for `--volume` and `--tmpfs`.

use gaufre_engine::settings::{
    ParseTmpfsError, ParseVolumeError, Propagation, Relabel, TmpfsArg, VolumeArg, VolumeOptions, VolumeSource,
};
use thiserror::Error;

/// What a `--mount` turns out to be.
#[derive(Debug, PartialEq)]
pub(super) enum Mount {
    Volume(VolumeArg),
    Tmpfs(TmpfsArg),
}

/// A `--mount` that cannot be understood.
#[derive(Debug, Error)]
pub(super) enum ParseMountError {
    #[error("mount type '{0}' is not supported; there are bind, volume and tmpfs")]
    Type(String),
    #[error("mount '{0}' lacks its type: type=bind, type=volume or type=tmpfs")]
    NoType(String),
    #[error("mount '{0}' lacks target=DIR")]
    NoTarget(String),
    #[error("mount '{0}' lacks source=PATH")]
    NoSource(String),
    #[error("mount option '{0}' is not supported for this type")]
    Option(String),
    #[error(transparent)]
    Volume(#[from] ParseVolumeError),
    #[error(transparent)]
    Tmpfs(#[from] ParseTmpfsError),
}

/// Reads `type=bind,source=/a,target=/b,ro` and the like.
pub(super) fn parse_mount(text: &str) -> Result<Mount, ParseMountError> {
    let mut fields = Vec::new();
    let (mut kind, mut source, mut target) = (None, None, None);
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("type", value)) => kind = Some(value),
            Some(("source" | "src", value)) => source = Some(value),
            Some(("target" | "dst" | "destination", value)) => target = Some(value),
            _ => fields.push(field),
        }
    }
    let target = target.ok_or_else(|| ParseMountError::NoTarget(text.to_owned()))?;
    match kind {
        Some("bind") => {
            let source = source.ok_or_else(|| ParseMountError::NoSource(text.to_owned()))?;
            // A path without a leading slash is relative, not the name of a volume.
            let path = if source.starts_with(['/', '.']) { source.to_owned() } else { format!("./{source}") };
            volume(VolumeSource::Host(path.into()), target, &fields)
        }
        Some("volume") => volume(source.map_or(Ok(VolumeSource::Anonymous), str::parse)?, target, &fields),
        Some("tmpfs") => tmpfs(target, &fields),
        Some(other) => Err(ParseMountError::Type(other.to_owned())),
        None => Err(ParseMountError::NoType(text.to_owned())),
    }
}

fn volume(source: VolumeSource, target: &str, fields: &[&str]) -> Result<Mount, ParseMountError> {
    let bind = matches!(source, VolumeSource::Host(_));
    // The place is checked by the one parser there is for it.
    let destination = target.parse::<VolumeArg>()?.destination;
    let mut options = VolumeOptions::default();
    for field in fields {
        let (key, value) = field.split_once('=').unwrap_or((field, "true"));
        match (key, value) {
            ("ro" | "readonly", "true") | ("rw", "false") => options.read_only = true,
            ("ro" | "readonly", "false") | ("rw", "true") => options.read_only = false,
            ("bind-nonrecursive", "true") if bind => options.recursive = false,
            ("bind-propagation", name) if bind => {
                let parsed: VolumeOptions =
                    name.parse().map_err(|_| ParseMountError::Option((*field).to_owned()))?;
                if parsed.propagation == Propagation::default() && name != "rprivate" {
                    return Err(ParseMountError::Option((*field).to_owned()));
                }
                options.propagation = parsed.propagation;
            }
            ("relabel", "shared") => options.relabel = Some(Relabel::Shared),
            ("relabel", "private") => options.relabel = Some(Relabel::Private),
            ("U" | "chown", "true") => options.chown = true,
            ("volume-nocopy" | "nocopy", "true") if !bind => options.no_copy = true,
            _ => return Err(ParseMountError::Option((*field).to_owned())),
        }
    }
    Ok(Mount::Volume(VolumeArg { source, destination, options }))
}

fn tmpfs(target: &str, fields: &[&str]) -> Result<Mount, ParseMountError> {
    let mut options = Vec::new();
    for field in fields {
        options.push(match field.split_once('=') {
            Some(("tmpfs-size" | "size", value)) => format!("size={value}"),
            Some(("tmpfs-mode" | "mode", value)) => format!("mode={value}"),
            Some(("ro" | "readonly", "true")) => "ro".to_owned(),
            None if *field == "readonly" => "ro".to_owned(),
            None => (*field).to_owned(),
            Some(_) => return Err(ParseMountError::Option((*field).to_owned())),
        });
    }
    Ok(Mount::Tmpfs(format!("{target}:{}", options.join(",")).parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(mount: &str, volume: &str) {
        let expect = Mount::Volume(volume.parse().unwrap());
        assert_eq!(parse_mount(mount).unwrap(), expect, "{mount}");
    }

    #[test]
    fn a_bind_or_volume_mount_is_what_the_short_flag_says() {
        same("type=bind,source=/a,target=/b", "/a:/b");
        same("type=bind,src=a,dst=/b,ro", "./a:/b:ro");
        same("type=bind,src=/a,destination=/b,readonly=true,bind-propagation=rslave", "/a:/b:ro,rslave");
        same("type=volume,source=data,target=/b,relabel=private", "data:/b:Z");
        same("type=volume,target=/b", "/b");
    }

    #[test]
    fn a_tmpfs_mount_is_what_the_short_flag_says() {
        let mount = parse_mount("type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1777,readonly").unwrap();
        assert_eq!(mount, Mount::Tmpfs("/t:size=64m,mode=1777,ro".parse().unwrap()));
    }

    #[test]
    fn what_cannot_be_mounted_is_refused() {
        for bad in [
            "source=/a,target=/b",
            "type=image,source=x,target=/b",
            "type=bind,target=/b",
            "type=bind,source=/a",
            "type=bind,source=/a,target=b",
            "type=bind,source=/a,target=/b,bind-propagation=ro",
            "type=bind,source=/a,target=/b,nocopy",
            "type=tmpfs,target=/t,source=/x,huge=1",
            "",
        ] {
            assert!(parse_mount(bad).is_err(), "{bad}");
        }
    }
}
