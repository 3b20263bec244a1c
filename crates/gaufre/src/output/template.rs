//! The part of Go's templates that `--format` understands: fields and `json`.
//!
//! `{{.State.Status}}` and `{{json .Ports}}` cover what scripts ask for. Anything else is refused by name, so that a
//! template never prints something that its author did not mean.

use std::str::FromStr;

use serde_json::{Map, Value};

use super::plain;
use crate::failure::{CliError, Result};

/// Text with fields in it.
#[derive(Debug, PartialEq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, PartialEq)]
enum Part {
    Text(String),
    Field { path: Vec<String>, json: bool },
}

impl FromStr for Template {
    type Err = CliError;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.replace("\\t", "\t").replace("\\n", "\n");
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, inside)) = rest.split_once("{{") {
            let Some((action, after)) = inside.split_once("}}") else {
                return Err(CliError::new(format_args!("template '{text}' has '{{{{' without '}}}}'")));
            };
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(parse_action(action)?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

fn parse_action(action: &str) -> Result<Part> {
    let words: Vec<&str> = action.split_whitespace().collect();
    let (json, field) = match words[..] {
        ["json", field] => (true, field),
        [field] => (false, field),
        _ => return Err(unsupported(action)),
    };
    let names = field.strip_prefix('.').ok_or_else(|| unsupported(action))?;
    let path: Vec<String> = names.split('.').filter(|_| !names.is_empty()).map(str::to_owned).collect();
    if !path.iter().all(|name| is_plain(name)) || (path.is_empty() && !json) {
        return Err(unsupported(action));
    }
    Ok(Part::Field { path, json })
}

fn unsupported(action: &str) -> CliError {
    CliError::new(format_args!("template action '{{{{{action}}}}}' is not supported")).with_hint(match direct(action) {
        Some(field) => format!("name the field itself, such as {field}"),
        None => "a format may hold {{.Field}}, {{.Field.Field}} and {{json .Field}}; for more use --format json with jq"
            .to_owned(),
    })
}

/// The field that a usual template of scripts is after.
fn direct(action: &str) -> Option<String> {
    let words: Vec<&str> = action.split_whitespace().collect();
    match words[..] {
        // `{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}`
        ["range", .., networks] if networks.ends_with(".NetworkSettings.Networks") => {
            Some("{{.NetworkSettings.IPAddress}}".to_owned())
        }
        // `{{index .Config.Labels "a"}}`
        ["index", map, key] if map.starts_with('.') => {
            let key = key.trim_matches(['"', '`']);
            is_plain(key).then(|| format!("{{{{{map}.{key}}}}}"))
        }
        _ => None,
    }
}

/// Whether it can be a part of `.Field.Field`.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl Template {
    /// The text for `value`.
    ///
    /// # Errors
    /// A field that `value` does not have.
    pub(crate) fn render(&self, value: &Value) -> Result<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Field { path, json } => text.push_str(&field(value, path, *json)?),
            }
        }
        Ok(text)
    }

    /// Headings for a table of the template's fields: `.RunningFor` becomes `RUNNING FOR`.
    pub(crate) fn titles(&self) -> Vec<String> {
        self.fields().map(|(path, _)| title(path.last().map_or("", String::as_str))).collect()
    }

    /// The cells of `value`'s row.
    ///
    /// # Errors
    /// A field that `value` does not have.
    pub(crate) fn cells(&self, value: &Value) -> Result<Vec<String>> {
        self.fields().map(|(path, json)| field(value, path, json)).collect()
    }

    fn fields(&self) -> impl Iterator<Item = (&Vec<String>, bool)> {
        self.0.iter().filter_map(|part| match part {
            Part::Field { path, json } => Some((path, *json)),
            Part::Text(_) => None,
        })
    }
}

/// What is shown for a field.
fn field(value: &Value, path: &[String], json: bool) -> Result<String> {
    let mut found = value;
    for (depth, name) in path.iter().enumerate() {
        let parent = depth.checked_sub(1).and_then(|depth| path.get(depth)).map_or("", String::as_str);
        found = match found {
            Value::Object(fields) => match fields.get(name) {
                Some(field) => field,
                None if may_be_absent(parent, name) => &Value::Null,
                None => return Err(no_field(path, depth, Some(fields))),
            },
            // As in Go: a field of nothing is nothing.
            Value::Null => &Value::Null,
            _ => return Err(no_field(path, depth, None)),
        };
    }
    let name = path.last().map_or("", String::as_str);
    Ok(if found.is_null() && !json { empty(name).to_owned() } else { show(found, json) })
}

/// Fields of an image's config that its maker may have left out (config.md of the image specification), and entries of
/// what users choose the names in.
fn may_be_absent(parent: &str, name: &str) -> bool {
    match parent {
        "Config" => LISTS.contains(&name) || MAPS.contains(&name) || WORDS.contains(&name),
        "Labels" | "Annotations" => true,
        _ => false,
    }
}

const LISTS: [&str; 4] = ["Cmd", "Entrypoint", "Env", "OnBuild"];
const MAPS: [&str; 3] = ["ExposedPorts", "Labels", "Volumes"];
const WORDS: [&str; 3] = ["StopSignal", "User", "WorkingDir"];

/// What Go prints for a field of this name that holds nothing.
fn empty(name: &str) -> &'static str {
    match name {
        name if LISTS.contains(&name) => "[]",
        name if MAPS.contains(&name) => "map[]",
        _ => "",
    }
}

fn no_field(path: &[String], depth: usize, known: Option<&Map<String, Value>>) -> CliError {
    let error = CliError::new(format_args!("there is no field '.{}' to print", path.join(".")));
    let Some(known) = known.filter(|known| !known.is_empty()) else { return error };
    let parent = path.get(..depth).unwrap_or_default().join(".");
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    error.with_hint(format!("the fields of '.{parent}' are {}", names.join(", ")))
}

fn show(value: &Value, json: bool) -> String {
    match value {
        value if json => plain::json(&value.to_string()).into_owned(),
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| show(item, false)).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}:{}", show(value, false))).collect();
            format!("map[{}]", fields.join(" "))
        }
        other => other.to_string(),
    }
}

fn title(field: &str) -> String {
    match field {
        "ID" | "Id" => return "CONTAINER ID".to_owned(),
        "ImageID" => return "IMAGE ID".to_owned(),
        "CreatedAt" | "RunningFor" | "CreatedSince" => return "CREATED".to_owned(),
        _ => {}
    }
    let mut words = String::new();
    let mut previous_lower = false;
    for c in field.chars() {
        if c.is_ascii_uppercase() && previous_lower {
            words.push(' ');
        }
        previous_lower = c.is_ascii_lowercase();
        words.push(c.to_ascii_uppercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(template: &str) -> std::result::Result<String, String> {
        let value = json!({"Name": "web", "State": {"Pid": 7, "Running": true}, "Labels": {"a": "b", "c": "d"},
            "Args": ["-x", "y"], "Ports": null});
        template
            .parse::<Template>()
            .and_then(|template| template.render(&value))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn fields_are_printed_as_go_prints_them() {
        assert_eq!(render("{{.Name}}\\t{{ .State.Pid }}!").unwrap(), "web\t7!");
        assert_eq!(render("{{.State.Running}} {{.Labels}} {{.Args}}").unwrap(), "true map[a:b c:d] [-x y]");
        assert_eq!(render("{{.Ports.x}}{{.Ports}}").unwrap(), "");
        assert_eq!(render("{{json .Args}} {{json .Name}}").unwrap(), "[\"-x\",\"y\"] \"web\"");
        assert_eq!(render("plain }} text").unwrap(), "plain }} text");
    }

    #[test]
    fn other_syntax_is_refused_by_name() {
        for bad in [
            "{{range .Args}}x{{end}}",
            "{{index .Args 0}}",
            "{{.}}",
            "{{.Name | upper}}",
            "{{len .Args}}",
            "{{}}",
        ] {
            assert!(render(bad).unwrap_err().contains("is not supported"), "{bad}");
        }
        assert!(render("{{.Name").unwrap_err().contains("without"));
    }

    #[test]
    fn the_direct_field_of_a_usual_template_is_named() {
        let address = render("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}").unwrap_err();
        assert!(address.ends_with("such as {{.NetworkSettings.IPAddress}}"), "{address}");
        let label = render("{{index .Config.Labels \"a\"}}").unwrap_err();
        assert!(label.ends_with("such as {{.Config.Labels.a}}"), "{label}");
        assert!(render("{{index .Config.Labels \"a.b\"}}").unwrap_err().contains("json"));
    }

    #[test]
    fn what_an_image_may_leave_out_is_shown_as_go_shows_nothing() {
        let image = json!({"Config": {"Env": null, "Labels": {"a": "b"}}});
        let shown = |text: &str| text.parse::<Template>().unwrap().render(&image);
        let template = "{{.Config.Entrypoint}}|{{.Config.Env}}|{{.Config.Volumes}}|{{.Config.User}}|{{.Config.Labels.x}}|{{json .Config.Cmd}}";
        assert_eq!(shown(template).unwrap(), "[]|[]|map[]|||null");
        assert!(shown("{{.Config.Entrypoints}}").unwrap_err().to_string().contains("'.Config.Entrypoints'"));
    }

    #[test]
    fn a_field_that_does_not_exist_is_named_with_those_that_do() {
        let refusal = render("{{.State.Foo}}").unwrap_err();
        assert!(refusal.contains("'.State.Foo'"), "{refusal}");
        assert!(refusal.contains("The fields of '.State' are Pid, Running"), "{refusal}");
        assert!(render("{{.Name.Foo}}").is_err());
    }

    #[test]
    fn columns_get_their_headings_from_the_fields() {
        let template: Template = "{{.ID}} {{.Names}} {{.PodName}}".parse().unwrap();
        assert_eq!(template.titles(), ["CONTAINER ID", "NAMES", "POD NAME"]);
    }
}
