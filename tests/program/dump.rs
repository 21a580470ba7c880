//! Dumps of memory, looked at by the tools that read them.

use std::io::Read;
use std::path::Path;
use std::process::Command;

use flate2::read::ZlibDecoder;
use serde_json::json;

use crate::migration::Vm;

/// The size of the memory.
const SIZE: usize = 1 << 20;

/// A machine whose memory has something in three pages, and that.
fn machine(dir: &Path) -> (Vm, Vec<u8>) {
    let mut content = vec![0; SIZE];
    content[..3].copy_from_slice(b"abc");
    content[0x5_0000..0x5_1000].fill(7);
    content[SIZE - 1] = 1;
    std::fs::write(dir.join("ram"), &content).unwrap();
    let vm = Vm::new(&format!(
        "-object memory-backend-file,id=ram,size=1M,mem-path={}/ram -machine \
         q35,memory-backend=ram",
        dir.display()
    ));
    (vm, content)
}

fn dump(vm: &mut Vm, path: &Path, format: &str) {
    let arguments = json!({
        "paging": false,
        "protocol": format!("file:{}", path.display()),
        "format": format,
    });
    assert_eq!(
        vm.execute("dump-guest-memory", &arguments),
        ["STOP", "dumped \"completed\"", "RESUME", "ok"]
    );
    let progress = json!({"status": "completed", "completed": SIZE, "total": SIZE});
    assert_eq!(vm.ask("query-dump"), progress);
}

/// What a tool says; `None`, and a message, if it is not there.
fn says(tool: &str, arguments: &[&str], path: &Path) -> Option<String> {
    let output = Command::new(tool).args(arguments).arg(path).output();
    let Ok(output) = output else {
        eprintln!("skipped: no {tool}");
        return None;
    };
    assert!(output.stderr.is_empty(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_core_file() {
    let dir = tempfile::tempdir().unwrap();
    let (mut vm, content) = machine(dir.path());
    let path = dir.path().join("core");
    dump(&mut vm, &path, "elf");
    let bytes = std::fs::read(&path).unwrap();
    let segment = bytes.len() - SIZE - b"\0.shstrtab\0".len();
    assert!(bytes[segment..].starts_with(&content));
    if let Some(text) = says("readelf", &["-h", "-l", "-n"], &path) {
        for line in [
            "Type:                              CORE (Core file)",
            "Number of program headers:         2",
            &format!("LOAD           {segment:#018x} 0x0000000000000000 0x0000000000000000"),
            "0x0000000000100000 0x0000000000100000         0x0",
            "NT_PRSTATUS (prstatus structure)",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
    if let Some(text) = says("file", &["-b"], &path) {
        assert!(text.starts_with("ELF 64-bit LSB core file"), "{text}");
    }
    let part = json!({
        "paging": false,
        "protocol": format!("file:{}", path.display()),
        "begin": 0x5_0000,
        "length": 0x2000,
    });
    assert_eq!(vm.execute("dump-guest-memory", &part).last().unwrap(), "ok");
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len(), segment + 0x2000 + b"\0.shstrtab\0".len());
    assert_eq!(
        bytes[segment..segment + 0x2000],
        content[0x5_0000..0x5_2000]
    );
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// Reads all pages of a dump for `crash`.
fn pages(bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.starts_with(b"KDUMP   "));
    let (block, second, bitmaps) = (u32_at(bytes, 428), u32_at(bytes, 432), u32_at(bytes, 436));
    let count = u32_at(bytes, 440);
    let bitmap = (1 + second) * block;
    let all: u32 = bytes[bitmap..bitmap + count / 8]
        .iter()
        .map(|b| b.count_ones())
        .sum();
    assert_eq!(all as usize, count);
    let mut content = Vec::new();
    for page in 0..count {
        let at = (1 + second + bitmaps) * block + page * 24;
        let (offset, size, flags) = (
            u64_at(bytes, at),
            u32_at(bytes, at + 8),
            u32_at(bytes, at + 12),
        );
        let data = &bytes[offset as usize..][..size];
        match flags {
            0 => content.extend_from_slice(data),
            1 => {
                ZlibDecoder::new(data).read_to_end(&mut content).unwrap();
            }
            other => panic!("{other}"),
        }
    }
    content
}

#[test]
fn files_for_crash() {
    let dir = tempfile::tempdir().unwrap();
    let (mut vm, content) = machine(dir.path());
    let raw = dir.path().join("raw");
    dump(&mut vm, &raw, "kdump-raw-zlib");
    let bytes = std::fs::read(&raw).unwrap();
    assert!(pages(&bytes) == content);
    if let Some(text) = says("file", &["-b"], &raw) {
        assert!(text.starts_with("Kdump compressed dump v6"), "{text}");
    }
    let flat = dir.path().join("flat");
    dump(&mut vm, &flat, "kdump-zlib");
    if let Some(text) = says("file", &["-b"], &flat) {
        assert!(
            text.starts_with("Flattened kdump compressed dump v6"),
            "{text}"
        );
    }
    // Put together, it is the other file.
    let flat = std::fs::read(&flat).unwrap();
    let mut put = vec![0; bytes.len()];
    let mut at = 4096;
    loop {
        let number = |at: usize| i64::from_be_bytes(flat[at..at + 8].try_into().unwrap());
        let (offset, size) = (number(at), number(at + 8));
        at += 16;
        if offset == -1 {
            break;
        }
        let (offset, size) = (offset as usize, size as usize);
        put[offset..offset + size].copy_from_slice(&flat[at..at + size]);
        at += size;
    }
    assert_eq!(at, flat.len());
    assert!(put == bytes);
}

#[test]
fn a_detached_dump_answers_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut vm, _) = machine(dir.path());
    let path = dir.path().join("core");
    let arguments = json!({
        "paging": false,
        "protocol": format!("file:{}", path.display()),
        "detach": true,
    });
    assert_eq!(
        vm.execute("dump-guest-memory", &arguments),
        ["STOP", "ok", "dumped \"completed\"", "RESUME"]
    );
}

/// A dump that its reader does not take goes on when it does; meanwhile all is refused that
/// would change the memory.
#[test]
fn a_slow_reader_holds_up_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (mut vm, content) = machine(dir.path());
    let (reader, writer) = nix::unistd::pipe().unwrap();
    vm.give(writer);
    let arguments = json!({"paging": false, "protocol": "fd:pipe", "detach": true});
    assert_eq!(vm.execute("dump-guest-memory", &arguments), ["STOP", "ok"]);
    assert_eq!(vm.run_state(), "save-vm");
    assert_eq!(vm.ask("query-dump")["status"], "active");
    assert_eq!(
        vm.execute("dump-guest-memory", &arguments),
        ["There is a dump in process, please wait."]
    );
    let blocker = "Live migration disabled: dump-guest-memory in progress";
    assert_eq!(vm.migrate("exec:true"), [blocker]);
    assert_eq!(vm.figures()["blocked-reasons"], json!([blocker]));
    let all = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        std::fs::File::from(reader).read_to_end(&mut bytes).unwrap();
        bytes
    });
    vm.until("query-dump", "completed");
    let bytes = all.join().unwrap();
    assert!(bytes[bytes.len() - SIZE - 11..].starts_with(&content));
    assert_eq!(vm.run_state(), "running");
}

#[test]
fn what_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut vm, _) = machine(dir.path());
    let file = format!("file:{}", dir.path().join("x").display());
    let arguments = |more: serde_json::Value| {
        let mut all = json!({"paging": false, "protocol": file});
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        all
    };
    for (more, desc) in [
        (json!({"begin": 0}), "Parameter 'length' is missing"),
        (json!({"length": 1}), "Parameter 'begin' is missing"),
        (
            json!({"format": "kdump-zlib", "paging": true}),
            "kdump-compressed format doesn't support paging or filter",
        ),
        (
            json!({"format": "kdump-lzo"}),
            "kdump-lzo is not available now",
        ),
        (
            json!({"paging": true}),
            "dump: paging is not supported by this machine",
        ),
        (
            json!({"protocol": "foo"}),
            "parameter 'protocol' must start with 'file:' or 'fd:'",
        ),
        (
            json!({"protocol": "file:/nonexistent/x"}),
            "Could not create '/nonexistent/x': No such file or directory",
        ),
    ] {
        assert_eq!(vm.execute("dump-guest-memory", &arguments(more)), [desc]);
    }
    for (more, desc) in [
        (
            json!({"begin": 1u64 << 40, "length": 1}),
            "dump: no guest memory to dump",
        ),
        (
            json!({"begin": 0, "length": 0}),
            "parameter 'length' expects a non-zero size",
        ),
    ] {
        let seen = vm.execute("dump-guest-memory", &arguments(more));
        assert_eq!(seen, ["STOP", "RESUME", desc]);
        assert_eq!(vm.ask("query-dump")["status"], "failed");
    }
    let windows = arguments(json!({"format": "win-dmp"}));
    assert_eq!(
        vm.execute("dump-guest-memory", &windows),
        [
            "STOP",
            "dumped \"failed\"",
            "RESUME",
            "win-dump: invalid vmcoreinfo note size"
        ]
    );
}
