//! What a deploy uploads: the Worker as `wrangler deploy --dry-run` would send it.

use std::{fs, process::Stdio};

use anyhow::{Context, Result, bail};

use crate::{platform::target_dir, tools::Toolbox};

/// The size of the upload in KB (1000 bytes), compressed. The Worker is built for a deploy on the way.
pub(super) fn gzip_kb(tools: &Toolbox) -> Result<f64> {
    tools.npm_packages()?;
    let out = target_dir().join("bench/upload");
    fs::create_dir_all(&out).with_context(|| format!("creating {}", out.display()))?;
    let mut wrangler = tools.command("node")?;
    wrangler.args(["--no-warnings", "node_modules/wrangler/wrangler-dist/cli.js", "deploy", "--dry-run"]);
    wrangler.arg("--outdir").arg(&out);
    Toolbox::keep_wrangler_local(&mut wrangler, &target_dir().join("dev/wrangler-upload"));
    let output =
        wrangler.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("starting wrangler")?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("`wrangler deploy --dry-run` ended with {}:\n{said}", output.status);
    }
    read(&said).with_context(|| format!("no size in what wrangler says:\n{said}"))
}

/// From `Total Upload: 738.00 KiB / gzip: 265.00 KiB`.
fn read(said: &str) -> Option<f64> {
    let (kib, _) = said.split_once("gzip: ")?.1.split_once(" KiB")?;
    Some(kib.parse::<f64>().ok()? * 1.024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compressed_size_is_read_in_thousands_of_bytes() {
        assert_eq!(read("\nTotal Upload: 738.00 KiB / gzip: 250.00 KiB\nBindings:"), Some(256.0));
        assert_eq!(read("Total Upload: 738.00 KiB"), None);
    }
}
