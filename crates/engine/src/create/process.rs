//! The first process: what the image says, overruled by what was asked for.

use super::CreateError;
use crate::sandbox::{ImageRef, ProcessSettings};
use crate::settings::{CreateRequest, Signal};
use oci_spec::image::ImageConfiguration;

pub(super) fn process(
    request: &CreateRequest,
    image: &ImageRef,
    config: &ImageConfiguration,
) -> Result<ProcessSettings, CreateError> {
    let defaults = config.config().clone().unwrap_or_default();
    let image_entrypoint = defaults.entrypoint().clone().unwrap_or_default();
    let image_command = defaults.cmd().clone().unwrap_or_default();
    let (entrypoint, command) = match (&request.entrypoint, request.command.is_empty()) {
        // The image's command is arguments for the image's entrypoint, and goes with it.
        (Some(entrypoint), _) => (entrypoint.clone(), request.command.clone()),
        (None, false) => (image_entrypoint, request.command.clone()),
        (None, true) => (image_entrypoint, image_command),
    };
    let entrypoint_len = entrypoint.len();
    let args: Vec<String> = entrypoint.into_iter().chain(command).collect();
    if args.first().is_none_or(String::is_empty) {
        return Err(CreateError::NoCommand(image.name.clone()));
    }
    let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let cwd = set(&request.workdir).or_else(|| set(defaults.working_dir())).unwrap_or_else(|| "/".to_owned());
    if !cwd.starts_with('/') {
        return Err(CreateError::WorkingDirectory(cwd));
    }
    let stop_signal = match (request.settings.stop_signal, set(defaults.stop_signal())) {
        (Some(signal), _) => signal,
        (None, Some(name)) => name.parse().map_err(|_| CreateError::StopSignal(name))?,
        (None, None) => Signal::TERM,
    };
    Ok(ProcessSettings {
        args,
        entrypoint_len,
        // Some images have variables without a value, which no process can have.
        env: merge_env(
            defaults.env().iter().flatten().filter(|entry| entry.contains('=')).cloned().collect(),
            &request.env,
        ),
        cwd_asked: set(&request.workdir).is_some() && request.workdir != *defaults.working_dir(),
        cwd,
        user: set(&request.user).or_else(|| set(defaults.user())),
        stop_signal: stop_signal.number(),
        exposed_ports: exposed_ports(config),
    })
}

/// The ports that the image says it listens on.
pub(super) fn exposed_ports(config: &ImageConfiguration) -> Vec<String> {
    let mut ports =
        config.config().as_ref().and_then(|config| config.exposed_ports().clone()).unwrap_or_default();
    ports.sort();
    ports
}

/// `NAME=value` of `over` replaces that of `env`; the order of first mention stays.
pub(crate) fn merge_env(mut env: Vec<String>, over: &[String]) -> Vec<String> {
    let name = |entry: &str| entry.split_once('=').map_or(entry, |(name, _)| name).to_owned();
    for entry in over {
        match env.iter_mut().find(|old| name(old) == name(entry)) {
            Some(old) => old.clone_from(entry),
            None => env.push(entry.clone()),
        }
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> ImageRef {
        let id = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        ImageRef { id, name: "docker.io/library/x:latest".to_owned(), layers: Vec::new() }
    }

    fn config(json: &str) -> ImageConfiguration {
        serde_json::from_str(&format!(
            "{{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[]}},\"config\":{json}}}"
        ))
        .unwrap()
    }

    fn args(
        entrypoint: Option<&[&str]>,
        command: &[&str],
        config_json: &str,
    ) -> Result<Vec<String>, CreateError> {
        let strings = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let request = CreateRequest {
            entrypoint: entrypoint.map(strings),
            command: strings(command),
            ..CreateRequest::default()
        };
        process(&request, &image(), &config(config_json)).map(|process| process.args)
    }

    const BOTH: &str = r#"{"Entrypoint":["/entry"],"Cmd":["serve"]}"#;

    #[test]
    fn a_command_replaces_the_images_command_and_keeps_its_entrypoint() {
        assert_eq!(args(None, &[], BOTH).unwrap(), ["/entry", "serve"]);
        assert_eq!(args(None, &["test"], BOTH).unwrap(), ["/entry", "test"]);
    }

    #[test]
    fn an_entrypoint_replaces_the_images_entrypoint_and_its_command() {
        assert_eq!(args(Some(&["/bin/sh"]), &[], BOTH).unwrap(), ["/bin/sh"]);
        assert_eq!(args(Some(&[]), &["ls"], BOTH).unwrap(), ["ls"]);
    }

    #[test]
    fn nothing_to_run_is_said_before_anything_is_made() {
        assert!(matches!(args(None, &[], "{}"), Err(CreateError::NoCommand(_))));
        assert!(matches!(args(Some(&[]), &[], BOTH), Err(CreateError::NoCommand(_))));
    }

    #[test]
    fn the_environment_asked_for_wins() {
        let env = merge_env(vec!["A=1".into(), "B=2".into()], &["B=3".into(), "C=".into()]);
        assert_eq!(env, ["A=1", "B=3", "C="]);
    }
}
