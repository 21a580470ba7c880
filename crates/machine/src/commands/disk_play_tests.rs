//! Random sequences of snapshots, copies, verbs of jobs, hot-plug and resets. Whatever is
//! asked for and refused, the disk shows what was written to it, no node is lost, and all
//! images are valid.

use std::process::Command;
use std::time::Duration;

use super::*;
use crate::model::board::find_class;
use crate::model::jobs::Job;
use crate::schema::{
    BlockCommit, BlockCopyCommands, BlockStream, BlockdevBackup, BlockdevCommands, BlockdevMirror,
    BlockdevOptions, BlockdevSnapshotSync, JobStatus, JobsCommands, QueriesMirrorCommands,
    RunStateCommands,
};
use crate::MachineOptions;
use qmonitor::main_loop::TimeSource;
use qmonitor::qapi::visit::{keyval_parse, InputVisitor, QapiType};
use qmonitor::qapi::CompatPolicy;

const SIZE: usize = 1 << 20;
const CLUSTER: usize = 65536;

/// Numbers that look random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

struct Play {
    rt: Runtime<Machine>,
    dir: tempfile::TempDir,
    dice: Dice,
    /// What the disk must show.
    expected: Vec<u8>,
    /// What backups must have in the end: a job, a node, bytes.
    copies: Vec<(String, String, Vec<u8>)>,
    made: usize,
    log: Vec<String>,
}

fn arg<T: QapiType>(text: &str) -> T {
    let dict = keyval_parse(text, None).unwrap();
    let mut v = InputVisitor::new_keyval(dict, CompatPolicy::default());
    T::visit_in(&mut v, "").unwrap()
}

impl Play {
    fn new(seed: u64) -> Self {
        let machine = Machine::new(MachineOptions {
            class: find_class(qmonitor::Profile::V10_0, "pc").unwrap(),
            ..MachineOptions::default()
        });
        let mut rt = Runtime::with_time(machine, TimeSource::simulated()).unwrap();
        register(&mut rt);
        rt.state.init_board(None, &mut Vec::new()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut play = Play {
            rt,
            dir,
            dice: Dice(seed),
            expected: vec![0; SIZE],
            copies: Vec::new(),
            made: 0,
            log: Vec::new(),
        };
        device_from_cli(&mut play.rt, "virtio-scsi-pci,id=s", &mut Vec::new()).unwrap();
        play.raw_node("base");
        device_from_cli(&mut play.rt, "scsi-hd,drive=base,id=d", &mut Vec::new()).unwrap();
        play
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn raw_node(&mut self, name: &str) {
        let path = self.path(name);
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(SIZE as u64).unwrap();
        let options: BlockdevOptions =
            arg(&format!("driver=file,filename={path},node-name={name}"));
        self.rt.state.blocks.add(&options).unwrap();
    }

    fn new_name(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}{}", self.made)
    }

    /// The node in the drive.
    fn top(&self) -> String {
        let drives = self.rt.state.drives();
        drives[0].node.clone().unwrap()
    }

    /// The images of the disk, from the top one down.
    fn chain(&self) -> Vec<String> {
        crate::model::jobs::above(&self.rt.state.blocks, &self.top(), None).unwrap()
    }

    fn note(&mut self, what: &str, result: Result<(), Error>) {
        let outcome = result.map_or_else(|e| e.desc().to_owned(), |()| "done".to_owned());
        self.log.push(format!("{what}: {outcome}"));
    }

    fn turns(&mut self, count: usize) {
        for _ in 0..count {
            self.rt.turn(Some(Duration::ZERO)).unwrap();
        }
    }

    fn write(&mut self) {
        let cluster = self.dice.throw(SIZE / CLUSTER);
        let offset = cluster * CLUSTER + self.dice.throw(CLUSTER / 512) * 512;
        let length = (self.dice.throw(200) + 1) * 512;
        let length = length.min(SIZE - offset);
        let byte = u8::try_from(self.dice.throw(256)).unwrap();
        let node = self.top();
        let bytes = vec![byte; length];
        let blocks = &mut self.rt.state.blocks;
        blocks.write(&node, offset as u64, &bytes).unwrap();
        self.expected[offset..offset + length].fill(byte);
        self.rt.state.jobs.disk_written();
        jobs::pump(&mut self.rt);
        self.log
            .push(format!("write {node} {offset}+{length} {byte}"));
    }

    fn snapshot(&mut self) {
        let name = self.new_name("s");
        let node = self.chain().remove(0);
        let path = self.path(&name);
        let arg: BlockdevSnapshotSync = arg(&format!(
            "node-name={node},snapshot-file={path},snapshot-node-name={name}"
        ));
        let result = Machine::qmp_blockdev_snapshot_sync(&mut self.rt, arg);
        self.note(&format!("snapshot {name} above {node}"), result);
    }

    fn stream(&mut self) {
        let chain = self.chain();
        let top = self.dice.throw(chain.len());
        let base = top + self.dice.throw(chain.len() - top) + 1;
        let mut text = format!("device={},job-id={}", chain[top], self.new_name("j"));
        if let Some(base) = chain.get(base) {
            text += &format!(",base-node={base}");
        }
        let result = Machine::qmp_block_stream(&mut self.rt, arg::<BlockStream>(&text));
        self.note(&format!("stream {text}"), result);
    }

    fn commit(&mut self) {
        let chain = self.chain();
        let top = self.dice.throw(chain.len());
        let base = top + self.dice.throw(chain.len() - top);
        let text = format!(
            "device={},top-node={},base-node={},job-id={}",
            chain[0],
            chain[top],
            chain[base],
            self.new_name("j")
        );
        let result = Machine::qmp_block_commit(&mut self.rt, arg::<BlockCommit>(&text));
        self.note(&format!("commit {text}"), result);
    }

    fn mirror(&mut self) {
        let target = self.new_name("m");
        self.raw_node(&target);
        let mode = ["background", "write-blocking"][self.dice.throw(2)];
        let text = format!(
            "device={},target={target},sync=full,copy-mode={mode},job-id={}",
            self.chain()[0],
            self.new_name("j")
        );
        let result = Machine::qmp_blockdev_mirror(&mut self.rt, arg::<BlockdevMirror>(&text));
        self.note(&format!("mirror {text}"), result);
    }

    fn backup(&mut self) {
        let target = self.new_name("b");
        self.raw_node(&target);
        let id = self.new_name("j");
        let text = format!(
            "device={},target={target},sync=full,job-id={id},auto-dismiss=off",
            self.chain()[0],
        );
        let result = Machine::qmp_blockdev_backup(&mut self.rt, arg::<BlockdevBackup>(&text));
        if result.is_ok() {
            self.copies.push((id, target, self.expected.clone()));
        }
        self.note(&format!("backup {text}"), result);
    }

    fn verb(&mut self) {
        let ids: Vec<String> = self.rt.state.jobs.iter().map(|j| j.id.clone()).collect();
        if ids.is_empty() {
            return;
        }
        let id = ids[self.dice.throw(ids.len())].clone();
        let rt = &mut self.rt;
        let (what, result) = match self.dice.throw(7) {
            0 => ("pause", Machine::qmp_job_pause(rt, id.clone())),
            1 | 2 => ("resume", Machine::qmp_job_resume(rt, id.clone())),
            3 => ("cancel", Machine::qmp_job_cancel(rt, id.clone())),
            4 => ("finalize", Machine::qmp_job_finalize(rt, id.clone())),
            5 => {
                let speed = i64::try_from(self.dice.throw(3)).unwrap() << 20;
                let set = Machine::qmp_block_job_set_speed(rt, id.clone(), speed);
                ("set-speed", set)
            }
            _ => ("complete", Machine::qmp_job_complete(rt, id.clone())),
        };
        self.note(&format!("{what} {id}"), result);
    }

    /// Takes the disk out and puts it in again, if no job works that could change it.
    fn replug(&mut self) {
        let at_work = |job: &Job| job.status() != JobStatus::Concluded;
        if self.rt.state.jobs.iter().any(at_work) {
            return;
        }
        let top = self.top();
        if self.rt.state.blocks.is_implicit(&top) {
            // It would go with the device.
            return;
        }
        let device = self.rt.state.find_device("d").unwrap();
        assert!(self.rt.state.device_unplug(device).is_ok());
        let result = device_from_cli(
            &mut self.rt,
            &format!("scsi-hd,drive={top},id=d"),
            &mut Vec::new(),
        );
        self.log.push(format!("replug {top}"));
        result.unwrap();
    }

    fn reset(&mut self) {
        Machine::qmp_system_reset(&mut self.rt).unwrap();
    }

    /// Closes a node that is not of the disk, if that is allowed.
    fn close(&mut self) {
        let chain = self.chain();
        let spare = |name: &&String| !chain.contains(name);
        let names: Vec<String> = self
            .rt
            .state
            .blocks
            .nodes()
            .map(|n| n.name.clone())
            .collect();
        let names: Vec<&String> = names.iter().filter(spare).collect();
        if names.is_empty() {
            return;
        }
        let name = names[self.dice.throw(names.len())].clone();
        if self.copies.iter().any(|(_, target, _)| *target == name) {
            return;
        }
        let result = Machine::qmp_blockdev_del(&mut self.rt, name.clone());
        self.note(&format!("close {name}"), result);
    }

    fn step(&mut self) {
        match self.dice.throw(20) {
            0..=4 => self.write(),
            5 | 6 => self.snapshot(),
            7 => self.stream(),
            8 | 9 => self.commit(),
            10 => self.mirror(),
            11 => self.backup(),
            12..=15 => self.verb(),
            16 => self.replug(),
            17 => self.reset(),
            18 => self.close(),
            _ => {}
        }
        let turns = self.dice.throw(6);
        self.turns(turns);
        self.check();
    }

    #[track_caller]
    fn check(&mut self) {
        let top = self.top();
        let mut bytes = vec![0; SIZE];
        let read = self.rt.state.blocks.read(&top, 0, &mut bytes);
        let log = || self.log.join("\n");
        assert!(read.is_ok(), "{read:?}\n{}", log());
        let differs = bytes.iter().zip(&self.expected).position(|(a, b)| a != b);
        assert_eq!(differs, None, "the disk shows other bytes:\n{}", log());
        let jobs = self.rt.state.jobs.iter().filter(|job| !job.has_ended());
        if jobs.count() == 0
            && self
                .rt
                .state
                .jobs
                .iter()
                .all(|j| j.status() == JobStatus::Concluded)
        {
            let mut nodes = self.rt.state.blocks.nodes();
            let left = nodes
                .find(|node| node.is_filter())
                .map(|node| node.name.clone());
            assert_eq!(left, None, "a filter is left:\n{}", log());
        }
        self.check_copies();
    }

    /// Backups that succeeded have what the disk showed at their start.
    fn check_copies(&mut self) {
        for (id, target, expected) in std::mem::take(&mut self.copies) {
            let key = self.rt.state.jobs.find(&id).unwrap();
            let job = self.rt.state.jobs.get(key).unwrap();
            if job.status() != JobStatus::Concluded {
                self.copies.push((id, target, expected));
                continue;
            }
            if job.error.is_none() {
                let copy = std::fs::read(self.path(&target)).unwrap();
                let log = self.log.join("\n");
                assert!(copy == expected, "backup {id} differs:\n{log}");
            }
            Machine::qmp_job_dismiss(&mut self.rt, id).unwrap();
        }
    }

    /// Ends all jobs and closes the disk.
    fn finish(mut self) {
        let ids: Vec<String> = self.rt.state.jobs.iter().map(|j| j.id.clone()).collect();
        for id in ids {
            let _ = Machine::qmp_job_cancel(&mut self.rt, id);
        }
        self.turns(50);
        self.check();
        self.rt.state.blocks.flush(&self.top()).unwrap();
        let device = self.rt.state.find_device("d").unwrap();
        assert!(self.rt.state.device_unplug(device).is_ok());
        let names: Vec<String> = self
            .rt
            .state
            .blocks
            .nodes()
            .map(|n| n.name.clone())
            .collect();
        for name in names {
            let _ = Machine::qmp_blockdev_del(&mut self.rt, name);
        }
        let left: Vec<_> = self
            .rt
            .state
            .blocks
            .nodes()
            .map(|n| n.name.clone())
            .collect();
        let log = self.log.join("\n");
        assert_eq!(left, Vec::<String>::new(), "nodes are left:\n{log}");
        drop(self.rt);
        for number in 1..=self.made {
            let path = self.dir.path().join(format!("s{number}"));
            if !path.exists() {
                continue;
            }
            let check = Command::new("qemu-img").arg("check").arg(&path).output();
            let Ok(check) = check else {
                eprintln!("skipped: no qemu-img (package qemu-utils)");
                return;
            };
            let text = String::from_utf8_lossy(&check.stdout).into_owned();
            assert!(check.status.success(), "{text}{check:?}\n{log}");
        }
    }
}

#[test]
fn whatever_is_played_the_disk_keeps_its_bytes() {
    // More of them for once: QMONITOR_DISK_PLAYS=1000.
    let plays = std::env::var("QMONITOR_DISK_PLAYS").map_or(6, |plays| plays.parse().unwrap());
    for seed in 0..plays {
        let mut play = Play::new(seed);
        for _ in 0..60 {
            play.step();
        }
        play.finish();
    }
}
