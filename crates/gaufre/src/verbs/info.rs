//! `gaufre info`.

use serde_json::Value;

use crate::cli::Global;
use crate::failure::{CliError, Result};
use crate::output::{self, Format};

/// Print what gaufre finds on this machine and how it uses it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// json, or a template such as '{{.kernel}}'
    #[arg(short, long)]
    format: Option<String>,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let info = serde_json::to_value(global.engine()?.info()?);
    let info = info.map_err(|error| CliError::because("cannot show what was found", error))?;
    match Format::parse(args.format.as_deref())? {
        Format::Table => {
            let mut text = String::new();
            outline(&info, 0, &mut text);
            output::line(text.trim_end())?;
        }
        Format::Json => output::print_json(&info)?,
        Format::Lines(template) | Format::Columns(template) => output::line(template.render(&info)?)?,
    }
    Ok(0)
}

/// Nested fields as indented lines, like podman's.
fn outline(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::Object(inner) if !inner.is_empty() => {
                        text.push_str(&format!("{indent}{name}:\n"));
                        outline(value, depth + 1, text);
                    }
                    Value::Array(items) if !items.is_empty() => {
                        text.push_str(&format!("{indent}{name}:\n"));
                        outline(value, depth, text);
                    }
                    plain => text.push_str(&format!("{indent}{name}: {}\n", scalar(plain))),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                text.push_str(&format!("{indent}- {}\n", scalar(item)));
            }
        }
        plain => text.push_str(&format!("{indent}{}\n", scalar(plain))),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_fields_are_indented() {
        let info = serde_json::json!({"host": {"kernel": "6.18", "cgroup": ["v1", "v2"], "kvm": null}, "store": {}, "warnings": []});
        let mut text = String::new();
        outline(&info, 0, &mut text);
        insta::assert_snapshot!(text, @r"
        host:
          cgroup:
          - v1
          - v2
          kernel: 6.18
          kvm: none
        store: {}
        warnings: none
        ");
    }
}
