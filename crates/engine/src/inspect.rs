//! All that is known of a sandbox or an image, in the shape that podman's users know.

use crate::engine::Engine;
use crate::failure::Failure;
use crate::images::ImagesError;
use crate::list::{SandboxState, SandboxSummary, summary};
use crate::sandbox::{FindError, Mount, MountSource, Sandbox, Status, UnreadableError};
use crate::settings::LogDriver;
use gaufre_net::{Attachment, PortMapping};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Something cannot be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// No sandbox goes by that name.
    #[error(transparent)]
    Find(#[from] FindError),
    /// Its records cannot be read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableError),
    /// No image goes by that name.
    #[error(transparent)]
    Image(#[from] ImagesError),
}

impl Failure for InspectError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Find(FindError::NoSuchSandbox(_)) => 1,
            Self::Image(error) => error.exit_code(),
            Self::Find(_) | Self::Unreadable(_) => 125,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Find(error) => error.hint(),
            Self::Unreadable(error) => error.hint(),
            Self::Image(error) => error.hint(),
        }
    }
}

impl Engine {
    /// What is known of a sandbox.
    ///
    /// # Errors
    /// See [`InspectError`].
    pub fn inspect(&self, name: &str) -> Result<Value, InspectError> {
        let sandbox = self.find(name)?;
        let running = match sandbox.status()? {
            Status::Running(running) => Some(running),
            _ => None,
        };
        let attachment = running.as_ref().and_then(|running| running.attachment.as_ref());
        let summary = summary(&sandbox, sandbox.status()?, sandbox.run()?);
        Ok(sandbox_json(self, &sandbox, &summary, attachment))
    }

    /// What is known of an image.
    ///
    /// # Errors
    /// See [`InspectError`].
    pub fn inspect_image(&self, name: &str) -> Result<Value, InspectError> {
        let named = self.find_image(name)?;
        // By which the name that was asked for was got; asked by ID, the first name decides.
        let asked = self.matching_name(name, &named).ok().or_else(|| named.names.first().cloned());
        let manifest = asked.and_then(|name| named.manifests.get(&name).cloned());
        let image = named.image;
        let manifest = manifest.unwrap_or_else(|| image.manifest_digest.clone());
        let config = self.config(&image.id)?;
        Ok(json!({
            "Id": image.id.digest(),
            "Digest": manifest.to_string(),
            "RepoTags": named.names,
            "RepoDigests": named.repo_digests,
            "Created": image.created,
            "Architecture": image.architecture,
            "Os": image.os,
            "Author": config.author(),
            "Size": image.size_bytes,
            "Config": config.config(),
            "Labels": config.config().as_ref().and_then(|config| config.labels().clone()),
            "RootFS": {
                "Type": "layers",
                "Layers": image.layers.iter().map(ToString::to_string).collect::<Vec<_>>(),
            },
            "History": config.history(),
        }))
    }
}

fn sandbox_json(
    engine: &Engine,
    sandbox: &Sandbox,
    summary: &SandboxSummary,
    attachment: Option<&Attachment>,
) -> Value {
    let definition = &sandbox.definition;
    let process = &definition.process;
    let (path, args) = match process.args.split_first() {
        Some((path, args)) => (path.as_str(), args),
        None => ("", &[][..]),
    };
    // Made for each run.
    let bundle = Some(sandbox.bundle().join("config.json")).filter(|path| path.exists()).unwrap_or_default();
    json!({
        "Id": summary.id,
        "Name": summary.name,
        "Created": summary.created_at.to_string(),
        "Path": path,
        "Args": args,
        "State": state_json(sandbox, summary),
        "Image": summary.image_id,
        "ImageName": summary.image,
        "RestartCount": summary.restarts,
        "OCIConfigPath": bundle,
        "ResolvConfPath": sandbox.directory().join("files/resolv.conf"),
        "HostsPath": sandbox.directory().join("files/hosts"),
        "HostnamePath": sandbox.directory().join("files/hostname"),
        "LogPath": sandbox.log_path(),
        "GraphDriver": { "Name": "overlay", "Data": { "UpperDir": sandbox.directory().join("upper") } },
        "Mounts": definition.mounts.iter().map(|mount| mount_json(engine, mount)).collect::<Vec<_>>(),
        "NetworkSettings": network_json(summary, attachment),
        "Config": {
            "Hostname": crate::bundle::hostname_of(definition),
            "User": process.user.clone().unwrap_or_default(),
            "Tty": definition.settings.terminal,
            "OpenStdin": definition.settings.stdin_open,
            "Env": process.env,
            "Entrypoint": process.args[..process.entrypoint_len.min(process.args.len())],
            "Cmd": process.args[process.entrypoint_len.min(process.args.len())..],
            "Image": definition.image.name,
            "WorkingDir": process.cwd,
            "Labels": definition.settings.labels,
            "Annotations": definition.settings.annotations,
            "ExposedPorts": process.exposed_ports,
            "StopSignal": process.stop_signal,
            "StopTimeout": definition.settings.stop_timeout_s,
        },
        "HostConfig": host_config_json(sandbox, summary),
    })
}

/// A time that has not come: the zero of Go's time, as podman and Docker print it.
const NEVER: &str = "0001-01-01T00:00:00Z";

fn state_json(sandbox: &Sandbox, summary: &SandboxSummary) -> Value {
    let exit = summary.exit.as_ref();
    json!({
        "Status": summary.state.name(),
        "Running": summary.state == SandboxState::Running,
        "Restarting": summary.state == SandboxState::Restarting,
        "Paused": false,
        "OOMKilled": exit.is_some_and(|exit| exit.oom_killed),
        "Dead": false,
        "Pid": summary.pid.unwrap_or(0),
        "ExitCode": exit.map_or(Some(0), |exit| exit.code),
        "Error": exit.and_then(|exit| exit.error.clone()).unwrap_or_default(),
        "StartedAt": summary.started_at.map_or_else(|| NEVER.to_owned(), |time| time.to_string()),
        "FinishedAt": exit.map_or_else(|| NEVER.to_owned(), |exit| exit.finished_at.to_string()),
        "CgroupPath": format!("/gaufre/{}", sandbox.id()),
    })
}

fn mount_json(engine: &Engine, mount: &Mount) -> Value {
    let (kind, name, source) = match &mount.source {
        MountSource::Bind(path) => ("bind", None, path.display().to_string()),
        MountSource::Volume { name, .. } => {
            let path = engine.dirs.root.join("volumes").join(name).join("_data");
            ("volume", Some(name), path.display().to_string())
        }
        MountSource::Tmpfs => ("tmpfs", None, "tmpfs".to_owned()),
    };
    json!({
        "Type": kind,
        "Name": name,
        "Source": source,
        "Destination": mount.destination,
        "Options": mount.options,
        "RW": !mount.options.iter().any(|option| option == "ro"),
    })
}

fn network_json(summary: &SandboxSummary, attachment: Option<&Attachment>) -> Value {
    let address = json!({
        "IPAddress": attachment.map(|a| a.ip.to_string()).unwrap_or_default(),
        "IPPrefixLen": attachment.map_or(0, |a| a.prefix_len),
        "Gateway": attachment.map(|a| a.gateway.to_string()).unwrap_or_default(),
        "MacAddress": attachment.map(|a| a.mac.clone()).unwrap_or_default(),
    });
    let mut network = address.clone();
    if let Value::Object(fields) = &mut network {
        fields.insert("Ports".to_owned(), ports_json(&summary.ports));
        if summary.network == "bridge" {
            fields.insert("Networks".to_owned(), json!({ "bridge": address }));
        }
    }
    network
}

fn ports_json(ports: &[PortMapping]) -> Value {
    let mut by_port: Map<String, Value> = Map::new();
    for port in ports {
        let inside = format!("{}/{}", port.container_port, port.protocol);
        let outside = json!({
            "HostIp": port.host_ip.map(|ip| ip.to_string()).unwrap_or_else(|| "0.0.0.0".to_owned()),
            "HostPort": port.host_port.to_string(),
        });
        if let Value::Array(list) = by_port.entry(inside).or_insert_with(|| json!([])) {
            list.push(outside);
        }
    }
    Value::Object(by_port)
}

fn host_config_json(sandbox: &Sandbox, summary: &SandboxSummary) -> Value {
    let settings = &sandbox.definition.settings;
    let resources = &settings.resources;
    json!({
        "Binds": sandbox.definition.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Bind(path) => Some(format!("{}:{}:{}", path.display(), mount.destination.display(), mount.options.join(","))),
            MountSource::Volume { name, .. } => Some(format!("{name}:{}:{}", mount.destination.display(), mount.options.join(","))),
            MountSource::Tmpfs => None,
        }).collect::<Vec<_>>(),
        "NetworkMode": settings.network.to_string(),
        // Those chosen for it, once they are.
        "PortBindings": ports_json(if summary.ports.is_empty() { &settings.ports } else { &summary.ports }),
        "RestartPolicy": { "Name": settings.restart.name(), "MaximumRetryCount": match settings.restart {
            crate::settings::RestartPolicy::OnFailure { max } => max.unwrap_or(0),
            _ => 0,
        } },
        "AutoRemove": settings.remove_on_exit,
        "CapAdd": settings.cap_add,
        "CapDrop": settings.cap_drop,
        "Dns": settings.dns.servers,
        "DnsOptions": settings.dns.options,
        "DnsSearch": settings.dns.search,
        "ExtraHosts": settings.add_hosts,
        "GroupAdd": settings.groups,
        "Init": settings.init,
        "Privileged": settings.privileged,
        "ReadonlyRootfs": settings.read_only,
        "SecurityOpt": settings.security.options(),
        "ShmSize": settings.shm_size_bytes,
        "Memory": resources.memory_bytes.unwrap_or(0),
        "MemorySwap": resources.effective_swap_bytes().unwrap_or(0),
        "MemoryReservation": resources.memory_reservation_bytes.unwrap_or(0),
        "NanoCpus": resources.cpus.map_or(0, |cpus| Duration::from_secs_f64(cpus.max(0.0)).as_nanos()),
        "CpuShares": resources.cpu_shares.unwrap_or(0),
        "CpusetCpus": resources.cpuset_cpus.clone().unwrap_or_default(),
        "CpusetMems": resources.cpuset_mems.clone().unwrap_or_default(),
        "PidsLimit": resources.pids_limit.unwrap_or(0),
        "OomScoreAdj": resources.oom_score_adj.unwrap_or(0),
        "Ulimits": settings.ulimits,
        "Devices": settings.devices,
        "Sysctls": settings.sysctls,
        "LogConfig": log_json(sandbox),
    })
}

/// As podman has it: `Tag` is for journald, and a size without a limit is `0B`.
fn log_json(sandbox: &Sandbox) -> Value {
    let log = &sandbox.definition.settings.log;
    let (kind, path) = match log.driver {
        LogDriver::K8sFile => ("k8s-file", sandbox.log_path().display().to_string()),
        LogDriver::None => ("none", String::new()),
    };
    json!({
        "Type": kind,
        "Config": Value::Null,
        "Path": path,
        "Tag": "",
        "Size": log.max_size_bytes.map_or_else(|| "0B".to_owned(), |bytes| format!("{bytes}B")),
    })
}
