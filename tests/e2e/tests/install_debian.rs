//! The guide for Debian, run as it is printed: on a copy of the running system (an overlay that is thrown away), without any
//! network but the loopback interface, from the package to the first refusal.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::{Known, Shell, procura, require, skip_without, steps};

/// Makes the copy, and a shell in it. The mail server of the guide is a sink on an address of the loopback interface.
const ENTER: &str = r#"
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
mount --rbind /dev "$1/root/dev"
mount -t proc proc "$1/root/proc"
mount -t tmpfs tmpfs "$1/root/run"
mount -t tmpfs tmpfs "$1/root/tmp"
ip link set lo up
mkdir -p "$1/root/root/guide"
cp "$2"/*.deb "$1/root/root/guide"
install -m 755 "$2/systemctl" "$1/root/usr/local/sbin/systemctl"
echo '127.0.0.2 mail.example.com' >> "$1/root/etc/hosts"
rm -rf "$1/root/etc/procura" "$1/root/var/lib/procura"
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec chroot "$1/root" bash --noprofile --norc -c 'cd /root/guide && exec bash --noprofile --norc'
"#;

/// What the guide needs of systemctl(1): the commands of the unit, run as its user with its capabilities.
const SYSTEMCTL: &str = r#"#!/bin/bash
set -e
unit=/usr/lib/systemd/system/$2.service
value() { sed -n "s/^$1=//p" "$unit"; }
case $1 in
    start)
        [ -e "$(value ConditionPathExists)" ]
        user=$(value User) capability=$(value AmbientCapabilities)
        capability=+$(echo "${capability#CAP_}" | tr A-Z a-z)
        setpriv --reuid "$user" --regid "$user" --init-groups --no-new-privs --bounding-set "-all,$capability" \
            --inh-caps "-all,$capability" --ambient-caps "-all,$capability" $(value ExecStart) \
            >/run/serve.out 2>/run/serve.log </dev/null &
        echo $! >/run/serve.pid
        for _ in $(seq 600); do
            grep -q '^ready' /run/serve.out && exit 0
            kill -0 "$(cat /run/serve.pid)" || break
            sleep 0.1
        done
        cat /run/serve.log >&2
        exit 1
        ;;
    reload) MAINPID=$(cat /run/serve.pid) sh -c "$(value ExecReload)" ;;
    *) exit 0 ;;
esac
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Builds the package of the program under test into a folder.
#[track_caller]
fn package(folder: &Path) {
    let built = Command::new(root().join("packaging/deb/build"))
        .arg("--binary")
        .arg(procura())
        .arg("--out")
        .arg(folder)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

#[test]
fn every_command_of_the_guide_for_debian_does_what_the_page_shows() {
    if !require(&["swaks", "unshare", "ip", "bash", "dpkg-deb", "setpriv", "adduser", "strip"]) {
        return;
    }
    let options = ["--net", "--mount", "--pid", "--fork", "--kill-child"];
    let probe = ["bash", "-c", "mount -t tmpfs tmpfs /mnt"];
    if !Command::new("unshare").args(options).args(probe).output().is_ok_and(|output| output.status.success()) {
        skip_without("root, for namespaces and an overlay");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mount, files) = (folder.path().join("mount"), folder.path().join("files"));
    fs::create_dir(&mount).unwrap();
    fs::create_dir(&files).unwrap();
    package(&files);
    fs::write(files.join("systemctl"), SYSTEMCTL).unwrap();
    let mut command = Command::new("unshare");
    command.args(options).args(["bash", "-c", ENTER, "enter"]).args([&mount, &files]);
    let mut shell = Shell::start(&mut command);
    let (printed, code) = shell.run("pwd && ip -brief link");
    assert!(code == 0 && printed[0] == "/root/guide" && printed.len() == 2, "{printed:?}");
    let steps = steps(&fs::read_to_string(root().join("docs/src/install-debian.md")).unwrap());
    assert!(steps.len() > 15, "the page has {} commands", steps.len());
    Known::default().follow(&mut shell, &steps, |shell, command| {
        if command.starts_with("systemctl start") {
            // The mail server of the house.
            shell.say("procura bench sink 127.0.0.2:25 >/dev/null 2>&1 </dev/null &\n");
        }
        None
    });
}

#[test]
fn the_unit_has_no_fault_and_exposes_little() {
    if !require(&["systemd-analyze"]) {
        return;
    }
    let unit = root().join("packaging/systemd/procura.service");
    let verified = Command::new("systemd-analyze").arg("verify").arg(&unit).output().unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    // The program and its manual pages are not installed here.
    let expected = |line: &&str| line.contains("/usr/bin/procura is not executable") || line.contains("Command 'man ");
    let faults: Vec<&str> = said.lines().filter(|line| !expected(line)).collect();
    assert!(faults.is_empty(), "{faults:?}");
    let exposed = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=20", "--no-pager"])
        .arg(&unit)
        .output()
        .unwrap();
    assert!(exposed.status.success(), "{}", String::from_utf8_lossy(&exposed.stdout));
}
