//! `gaufre version`.

use serde_json::json;

use crate::cli::Global;
use crate::failure::Result;
use crate::output::{self, Format};

/// Print gaufre's version
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// json, or a template such as '{{.Version}}'
    #[arg(short, long)]
    format: Option<String>,
}

pub(crate) fn execute(args: &Args, _: &Global) -> Result<u8> {
    let (version, platform) = (env!("CARGO_PKG_VERSION"), gaufre_engine::Platform::host().to_string());
    let fields =
        json!({"Version": version, "OsArch": platform, "Client": {"Version": version, "OsArch": platform}});
    match Format::parse(args.format.as_deref())? {
        Format::Table => {
            output::line(format_args!("Client:   gaufre\nVersion:  {version}\nOS/Arch:  {platform}"))?;
        }
        Format::Json => output::print_json(&json!({"Client": fields.get("Client")}))?,
        Format::Lines(template) | Format::Columns(template) => output::line(template.render(&fields)?)?,
    }
    Ok(0)
}
