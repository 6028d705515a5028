//! What can be seen without the service: files, certificate, names, disk, clock, limits.

use std::fs;
use std::net::ToSocketAddrs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use transport::certificate;

use super::Finding;
use crate::node::Node;
use crate::{http, tls};

/// Open files that a busy server needs.
const FILES: u64 = 8_192;
/// Files of the data directory whose times show whether the clock went back.
const STAMPED: [&str; 4] = ["directory.db", "directory.db-wal", "audit.db-wal", "queue/queue.db-wal"];

/// The data directory: there, of one owner, closed to others.
pub(super) fn files(node: &Node) -> Vec<Finding> {
    const CHECK: &str = "files";
    let path = &node.data;
    let shown = path.display();
    let Ok(of) = fs::metadata(path) else {
        return vec![Finding::fault(CHECK, format!("{shown}: there is no data directory"), "procura init")];
    };
    let mut findings = Vec::new();
    if of.mode() & 0o027 != 0 {
        let mode = of.mode() & 0o777;
        findings.push(Finding::fault(
            CHECK,
            format!("{shown} is open to others (mode {mode:o})"),
            format!("chmod 750 {shown}"),
        ));
    }
    let mut strangers = Vec::new();
    collect(path, of.uid(), 3, &mut strangers);
    if let Some(first) = strangers.first() {
        let text =
            format!("{} file(s) do not belong to the owner of the folder, as {}", strangers.len(), first.display());
        findings.push(Finding::fault(CHECK, text, format!("chown -R --reference={shown} {shown}")));
    }
    if let Some(key) = &node.loaded.config.tls.key {
        let key = node.loaded.path(key);
        if let Ok(mode) = fs::metadata(&key).map(|of| of.mode())
            && mode & 0o007 != 0
        {
            let key = key.display();
            findings.push(Finding::fault(
                CHECK,
                format!("everybody may read the private key {key}"),
                format!("chmod 640 {key}"),
            ));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, format!("{shown} is closed to others")));
    }
    findings
}

/// Files of others below a folder; the bodies of mail are not looked at.
fn collect(folder: &Path, owner: u32, depth: u32, strangers: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(of) = fs::symlink_metadata(&path) else { continue };
        if of.uid() != owner {
            strangers.push(path.clone());
        }
        if of.is_dir() && depth > 0 && !path.ends_with("mail") {
            collect(&path, owner, depth - 1, strangers);
        }
    }
}

/// The certificate: readable, in force, for the name of this host.
pub(super) fn certificate(node: &Node) -> Vec<Finding> {
    const CHECK: &str = "certificate";
    let names = &node.loaded.config.tls;
    let (chain, key, own) = match (&names.certificate, &names.key) {
        (Some(chain), Some(key)) => (node.loaded.path(chain), node.loaded.path(key), false),
        _ => (node.data.join("certificate.pem"), node.data.join("certificate.key"), true),
    };
    if own && !chain.exists() {
        let text = "none is configured; the server signs one itself when it starts, and nobody can verify it";
        return vec![Finding::warning(CHECK, text, "set `certificate` and `key` under [tls]")];
    }
    let read = match certificate::load(&chain, &key) {
        Ok(read) => read,
        Err(error) => {
            return vec![Finding::fault(CHECK, error.to_string(), "check `certificate` and `key` under [tls]")];
        }
    };
    let Some(leaf) = read.cert.first() else { return Vec::new() };
    let shown = chain.display();
    let mut findings = Vec::new();
    if let Some((begins, ends)) = certificate::validity(leaf) {
        let (days, limit) =
            ((ends - seconds()).div_euclid(86_400), i64::from(node.loaded.config.alarms.certificate_days));
        let mend = format!("put a new certificate at {shown}: it is taken without a restart");
        if begins > seconds() {
            findings.push(Finding::fault(CHECK, format!("{shown} is not in force yet"), "check the clock, or wait"));
        } else if days < 0 {
            findings.push(Finding::fault(CHECK, format!("{shown} ended {} day(s) ago", -days), mend));
        } else if days < limit {
            findings.push(Finding::warning(CHECK, format!("{shown} ends in {days} day(s)"), mend));
        }
    }
    let (hostname, names) = (node.hostname(), certificate::dns_names(leaf));
    if !names.iter().any(|name| covers(name, &hostname)) {
        let text = format!("{shown} is for {}, not for {hostname}", names.join(", "));
        let mend = "get one for the name of this host, or set `hostname` under [node] to a name of the certificate";
        findings.push(Finding::warning(CHECK, text, mend));
    }
    if certificate::is_self_signed(leaf) {
        let text = format!("{shown} is signed by itself: nobody can verify it");
        findings.push(Finding::warning(CHECK, text, "set `certificate` and `key` under [tls] to one of an authority"));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, format!("{shown} is in force, for {hostname}")));
    }
    findings
}

/// The authorities that the configuration names, as the server reads them when it starts.
pub(super) fn authorities(node: &Node) -> Vec<Finding> {
    const CHECK: &str = "certificate";
    let config = &node.loaded.config;
    let read = [
        config.tls.partner_roots.is_some().then(|| tls::options(node).map(drop)),
        config.delivery.roots.is_some().then(|| tls::delivery_roots(node).map(drop)),
        config.webhooks.roots.is_some().then(|| http::poster(node).map(drop)),
    ];
    let failures = read.into_iter().flatten().filter_map(Result::err);
    failures.map(|failure| Finding::of(CHECK, &failure)).collect()
}

/// Whether a name of a certificate stands for a host (RFC 6125 §6.4.3: a wildcard is the whole first label).
fn covers(name: &str, host: &str) -> bool {
    let (name, host) = (name.to_ascii_lowercase(), host.to_ascii_lowercase());
    match name.strip_prefix("*.") {
        Some(domain) => host.split_once('.').is_some_and(|(_, rest)| rest == domain),
        None => name == host,
    }
}

/// The name of this host: qualified, and known to others.
pub(super) fn name(node: &Node, no_network: bool) -> Vec<Finding> {
    const CHECK: &str = "name";
    let hostname = node.hostname();
    if !hostname.contains('.') {
        let text = format!("{hostname} is no fully qualified name: other servers refuse such a greeting");
        return vec![Finding::warning(CHECK, text, "set `hostname` under [node], as in mx1.example.com")];
    }
    if no_network {
        return Vec::new();
    }
    match (hostname.as_str(), 0).to_socket_addrs().map(Iterator::collect::<Vec<_>>) {
        Ok(found) if !found.is_empty() => {
            let mut addresses: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
            addresses.dedup();
            vec![Finding::ok(CHECK, format!("{hostname} is {}", addresses.join(", ")))]
        }
        Ok(_) | Err(_) => {
            let text = format!("{hostname} has no address in DNS: other servers may refuse its mail");
            vec![Finding::warning(
                CHECK,
                text,
                format!("publish an A or AAAA record for {hostname}, or set `hostname` under [node]"),
            )]
        }
    }
}

/// Space and inodes where the data are.
pub(super) fn disk(node: &Node) -> Vec<Finding> {
    const CHECK: &str = "disk";
    let Ok(of) = rustix::fs::statvfs(&node.data) else { return Vec::new() };
    let free = of.f_bavail.saturating_mul(of.f_frsize) >> 20;
    let (refuses, alarm) = (node.loaded.config.storage.min_free_mib, node.loaded.config.alarms.disk_mib);
    let shown = node.data.display();
    if free < refuses {
        let text = format!("{free} MiB are free at {shown}: mail is refused with 452 below {refuses}");
        return vec![Finding::fault(CHECK, text, "make room, or set `min_free_mib` under [storage]")];
    }
    if free < alarm {
        return vec![Finding::warning(CHECK, format!("{free} MiB are free at {shown}"), "make room")];
    }
    // File systems that make inodes as they need them count none.
    if of.f_files > 0 && of.f_favail * 100 < of.f_files {
        let text = format!("{} inodes are left at {shown}", of.f_favail);
        return vec![Finding::warning(CHECK, text, "remove small files")];
    }
    vec![Finding::ok(CHECK, format!("{free} MiB are free at {shown}"))]
}

/// The clock did not go back.
pub(super) fn clock(node: &Node) -> Vec<Finding> {
    const CHECK: &str = "clock";
    /// Two machines may differ a little.
    const SLACK: i64 = 60;
    let stamps = STAMPED.iter().filter_map(|name| fs::metadata(node.data.join(name)).ok()).map(|of| of.mtime());
    match stamps.max() {
        Some(newest) if newest > seconds() + SLACK => {
            let text = format!("the clock is {} second(s) behind what was written last", newest - seconds());
            vec![Finding::fault(CHECK, text, "set it: systemctl restart systemd-timesyncd")]
        }
        _ => vec![Finding::ok(CHECK, "the clock is not behind what was written")],
    }
}

/// Open files.
pub(super) fn limits() -> Vec<Finding> {
    const CHECK: &str = "limits";
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    match limit.maximum {
        Some(most) if most < FILES => {
            let text = format!("a process may open {most} files: too few for many sessions");
            vec![Finding::warning(CHECK, text, "set LimitNOFILE=65536 in the unit, or ulimit -n")]
        }
        _ => vec![Finding::ok(CHECK, "enough files may be opened")],
    }
}

pub(super) fn seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        assert!(covers("*.example.com", "MX1.example.com"));
        assert!(!covers("*.example.com", "a.mx1.example.com"));
        assert!(!covers("*.example.com", "example.com"));
        assert!(covers("mx1.example.com", "mx1.example.com"));
    }
}
