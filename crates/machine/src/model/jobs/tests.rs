//! Jobs change their states, and tell of it, as QEMU's do. The sequences are those that
//! `qemu-system-x86_64` 10.0.2 was seen to send.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::*;
use crate::model::block::Image;
use crate::model::board::find_class;
use crate::model::Machine;
use crate::model::MachineOptions;
use crate::schema::{
    BlockdevDriver, BlockdevOnError, BlockdevOptions, MirrorCopyMode, MirrorSyncMode,
};
use qmonitor::qapi::visit::{keyval_parse, InputVisitor, QapiType};
use qmonitor::qapi::CompatPolicy;

const SIZE: u64 = 8 << 20;

const HOUR: i64 = 3600 * 1_000_000_000;

/// A machine with two files, one with three MiB of data, and a clock.
struct World {
    m: Machine,
    dir: tempfile::TempDir,
    now: i64,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut m = Machine::new(MachineOptions {
            class: find_class(qmonitor::Profile::V10_0, "pc").unwrap(),
            ..MachineOptions::default()
        });
        m.init_board(None, &mut Vec::new()).unwrap();
        let mut world = World { m, dir, now: 1 };
        world.file("a", SIZE);
        world.file("b", SIZE);
        let data = vec![1; 3 << 20];
        world.m.blocks.write("a", 0, &data).unwrap();
        world
    }

    fn file(&mut self, name: &str, size: u64) {
        let path = self.dir.path().join(name);
        let file = File::create(&path).unwrap();
        file.set_len(size).unwrap();
        let path = path.display();
        self.node(&format!("file,filename={path},node-name={name}"));
    }

    fn node(&mut self, text: &str) {
        let dict = keyval_parse(text, Some("driver")).unwrap();
        let mut v = InputVisitor::new_keyval(dict, CompatPolicy::default());
        let options = BlockdevOptions::visit_in(&mut v, "").unwrap();
        self.m.blocks.add(&options).unwrap();
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.dir.path().join(name)).unwrap()
    }

    /// Lets jobs work for one turn, at the time that it is.
    fn turn(&mut self) {
        self.m.run_jobs(self.now);
    }

    /// Lets jobs work until none has anything to do before a time.
    fn run_until(&mut self, end: i64) {
        loop {
            while self.m.jobs.has_work() {
                self.turn();
            }
            match self.m.jobs.next_wake().filter(|wake| *wake <= end) {
                Some(wake) => self.now = wake,
                None => break,
            }
            self.turn();
        }
        self.now = end;
    }

    /// Lets jobs work until none has anything to do.
    fn run(&mut self) {
        self.run_until(self.now + HOUR);
    }

    /// What happened, one word for each event.
    #[track_caller]
    fn expect(&mut self, expected: &str) {
        let words: Vec<String> = self.m.jobs.take_events().iter().map(word).collect();
        assert_eq!(words.join(" "), expected);
    }

    fn key(&self, id: &str) -> JobKey {
        self.m.jobs.find(id).unwrap()
    }

    fn job(&self, id: &str) -> &Job {
        self.m.jobs.get(self.key(id)).unwrap()
    }

    fn mirror(&mut self, settings: Settings) -> Result<JobKey, Error> {
        let plan = mirror_plan();
        self.m.start_mirror(settings, plan)
    }

    fn backup(&mut self, settings: Settings, sync: MirrorSyncMode) -> Result<JobKey, Error> {
        let key = self.m.make_backup(settings, backup_plan("a", "b", sync))?;
        self.m.start_jobs(&[key]);
        Ok(key)
    }
}

fn word(event: &JobEvent) -> String {
    let numbers = |r: &Report| format!("{}/{}", r.offset >> 10, r.length >> 10);
    match event {
        JobEvent::Status(id, status) => format!("{id}:{}", status.as_str()),
        JobEvent::Ready(r) => format!("READY({})", numbers(r)),
        JobEvent::Pending(_, id) => format!("PENDING({id})"),
        JobEvent::Completed(r, None) => format!("COMPLETED({})", numbers(r)),
        JobEvent::Completed(r, Some(error)) => format!("COMPLETED({},{error})", numbers(r)),
        JobEvent::Cancelled(r) => format!("CANCELLED({})", numbers(r)),
        JobEvent::Error(_, operation, action) => {
            format!("ERROR({},{})", operation.as_str(), action.as_str())
        }
    }
}

fn settings(kind: JobType, id: &str) -> Settings {
    Settings {
        id: id.to_owned(),
        kind,
        speed: 0,
        auto_finalize: true,
        auto_dismiss: true,
        group: None,
    }
}

fn mirror_plan() -> MirrorPlan {
    MirrorPlan {
        source: "a".to_owned(),
        target: "b".to_owned(),
        replaces: None,
        extents: Extents::All,
        backing: None,
        copy_mode: MirrorCopyMode::Background,
        granularity: 65536,
        on_source_error: BlockdevOnError::Report,
        on_target_error: BlockdevOnError::Report,
        filter_name: None,
        is_own_target: false,
    }
}

fn backup_plan(source: &str, target: &str, sync: MirrorSyncMode) -> BackupPlan {
    BackupPlan {
        source: source.to_owned(),
        target: target.to_owned(),
        sync,
        bitmap: None,
        on_source_error: BlockdevOnError::Report,
        on_target_error: BlockdevOnError::Report,
        filter_name: None,
        is_own_target: false,
    }
}

#[test]
fn a_mirror_gets_ready_and_takes_the_place_of_its_source() {
    let mut w = World::new();
    let key = w.mirror(settings(JobType::Mirror, "j")).unwrap();
    w.expect("j:created j:running");
    w.run();
    w.expect("j:ready READY(8192/8192)");
    assert_eq!(w.bytes("a"), w.bytes("b"));
    w.m.job_complete(key).unwrap();
    w.expect("");
    w.run();
    w.expect("j:waiting j:pending COMPLETED(8192/8192) j:concluded j:null");
    assert_eq!(w.m.jobs.iter().count(), 0);
    assert_eq!(w.m.blocks.nodes().count(), 2, "the filter is gone");
}

#[test]
fn a_mirror_follows_writes() {
    let mut w = World::new();
    let plan = MirrorPlan {
        filter_name: Some("F".to_owned()),
        ..mirror_plan()
    };
    w.m.start_mirror(settings(JobType::Mirror, "j"), plan)
        .unwrap();
    w.run();
    w.m.blocks.write("F", 5 << 20, &[7; 4096]).unwrap();
    w.m.jobs.disk_written();
    w.run();
    assert_eq!(w.bytes("a"), w.bytes("b"));
    w.expect("j:created j:running j:ready READY(8192/8192)");
    let progress = w.job("j").progress;
    assert_eq!(progress.total, SIZE + 65536);
}

#[test]
fn a_write_blocking_mirror_is_never_behind() {
    let mut w = World::new();
    let plan = MirrorPlan {
        copy_mode: MirrorCopyMode::WriteBlocking,
        filter_name: Some("F".to_owned()),
        ..mirror_plan()
    };
    w.m.start_mirror(settings(JobType::Mirror, "j"), plan)
        .unwrap();
    w.run();
    assert!(w.job("j").is_actively_synced());
    w.m.blocks.write("F", 6 << 20, &[8; 512]).unwrap();
    assert_eq!(w.bytes("a"), w.bytes("b"));
}

#[test]
fn a_mirror_that_is_ready_ends_with_its_copy_unless_forced() {
    for (force, expected) in [
        (
            false,
            "j:waiting j:pending COMPLETED(8192/8192) j:concluded j:null",
        ),
        (true, "j:aborting CANCELLED(8192/8192) j:concluded j:null"),
    ] {
        let mut w = World::new();
        let key = w.mirror(settings(JobType::Mirror, "j")).unwrap();
        w.run();
        w.m.jobs.take_events();
        w.m.block_job_cancel(key, force).unwrap();
        w.expect("");
        w.run();
        w.expect(expected);
    }
}

#[test]
fn a_job_that_is_finalized_by_hand_waits() {
    let mut w = World::new();
    let key = w
        .mirror(Settings {
            auto_finalize: false,
            auto_dismiss: false,
            ..settings(JobType::Mirror, "j")
        })
        .unwrap();
    w.run();
    w.m.job_complete(key).unwrap();
    w.run();
    w.m.jobs.take_events();
    assert!(w.job("j").is_paused(), "QEMU holds the disk still");
    let refused = |w: &mut World, verb: &str, result: Result<(), Error>| {
        let state = w.job("j").status().as_str();
        let text = format!("Job 'j' in state '{state}' cannot accept command verb '{verb}'");
        assert_eq!(result.unwrap_err().desc(), text);
    };
    let result = w.m.job_pause(key);
    refused(&mut w, "pause", result);
    let result = w.m.job_complete(key);
    refused(&mut w, "complete", result);
    let result = w.m.job_dismiss(key);
    refused(&mut w, "dismiss", result);
    w.m.job_finalize(key).unwrap();
    w.expect("COMPLETED(8192/8192) j:concluded");
    let result = w.m.job_cancel(key, true);
    refused(&mut w, "cancel", result);
    let result = w.m.job_finalize(key);
    refused(&mut w, "finalize", result);
    let e = w.m.job_resume(key).unwrap_err();
    assert_eq!(e.desc(), "Can't resume a job that was not paused");
    w.m.job_dismiss(key).unwrap();
    w.expect("j:null");
    assert_eq!(w.m.jobs.find("j").unwrap_err().desc(), "Job not found");
}

#[test]
fn jobs_pause_and_go_on() {
    let mut w = World::new();
    let key = w.mirror(settings(JobType::Mirror, "j")).unwrap();
    w.run();
    w.m.jobs.take_events();
    w.m.job_pause(key).unwrap();
    w.expect("j:standby");
    assert_eq!(
        w.m.job_pause(key).unwrap_err().desc(),
        "Job is already paused"
    );
    assert_eq!(
        w.m.block_job_cancel(key, false).unwrap_err().desc(),
        "The block job for device 'j' is currently paused"
    );
    w.m.job_complete(key).unwrap();
    w.run();
    w.expect("");
    w.m.job_resume(key).unwrap();
    w.expect("j:ready");
    w.run();
    w.expect("j:waiting j:pending COMPLETED(8192/8192) j:concluded j:null");
}

#[test]
fn a_job_at_work_pauses_after_its_piece() {
    let mut w = World::new();
    let slow = Settings {
        speed: 65536,
        ..settings(JobType::Backup, "j")
    };
    let key = w.backup(slow, MirrorSyncMode::Full).unwrap();
    w.expect("j:created j:running j:paused j:running");
    w.m.job_pause(key).unwrap();
    w.expect("");
    w.turn();
    w.expect("j:paused");
    w.m.block_job_cancel(key, true).unwrap();
    w.expect("j:running");
    w.run();
    w.expect("j:aborting CANCELLED(0/0) j:concluded j:null");
}

#[test]
fn a_limit_is_kept_by_the_clock() {
    let mut w = World::new();
    let slow = Settings {
        speed: 1 << 20,
        ..settings(JobType::Backup, "j")
    };
    let key = w.backup(slow, MirrorSyncMode::Full).unwrap();
    w.run_until(500_000_000);
    assert_eq!(w.job("j").progress.current, 1 << 20, "the first piece");
    w.run_until(3_500_000_000);
    assert_eq!(w.job("j").progress.current, 4 << 20);
    assert_eq!(
        w.m.job_set_speed(key, -1).unwrap_err().desc(),
        "Parameter 'speed' expects a non-negative value"
    );
    w.m.job_set_speed(key, 0).unwrap();
    w.run_until(w.now);
    assert_eq!(
        w.m.jobs.iter().count(),
        0,
        "without a limit it is done at once"
    );
}

#[test]
fn a_backup_has_what_was_there_at_its_start() {
    let mut w = World::new();
    let before = w.bytes("a");
    let key =
        w.m.make_backup(
            settings(JobType::Backup, "j"),
            BackupPlan {
                filter_name: Some("F".to_owned()),
                ..backup_plan("a", "b", MirrorSyncMode::Full)
            },
        )
        .unwrap();
    w.m.start_jobs(&[key]);
    w.turn();
    w.m.blocks.write("F", 2 << 20, &vec![9; 1 << 20]).unwrap();
    w.m.blocks.write("F", 7 << 20, &[9; 100]).unwrap();
    w.run();
    assert_eq!(w.bytes("b"), before);
    assert_ne!(w.bytes("a"), before);
    w.expect(
        "j:created j:running j:paused j:running j:waiting j:pending COMPLETED(8192/8192) \
         j:concluded j:null",
    );
}

#[test]
fn a_backup_of_nothing_keeps_only_what_is_overwritten() {
    let mut w = World::new();
    let key = w
        .backup(settings(JobType::Backup, "j"), MirrorSyncMode::None)
        .unwrap();
    w.run();
    let progress = w.job("j").progress;
    assert_eq!((progress.current, progress.total), (0, SIZE));
    let (filter, _) = w.m.blocks.parents("a").next().unwrap();
    let filter = filter.name.clone();
    w.m.blocks.write(&filter, 0, &[3; 512]).unwrap();
    let file = File::open(w.dir.path().join("b")).unwrap();
    let mut start = [0; 512];
    file.read_exact_at(&mut start, 0).unwrap();
    assert_eq!(start, [1; 512]);
    w.m.jobs.take_events();
    w.m.job_cancel(key, true).unwrap();
    w.run();
    w.expect("j:aborting CANCELLED(0/8192) j:concluded j:null");
}

#[test]
fn jobs_of_a_group_end_together() {
    let mut w = World::new();
    w.file("c", SIZE);
    w.file("d", SIZE);
    let group = Some(w.m.jobs.new_group());
    let mut keys = Vec::new();
    for (id, source, target) in [("x", "a", "b"), ("y", "c", "d")] {
        let settings = Settings {
            group,
            auto_finalize: id == "y",
            auto_dismiss: false,
            ..settings(JobType::Backup, id)
        };
        let plan = backup_plan(source, target, MirrorSyncMode::Full);
        keys.push(w.m.make_backup(settings, plan).unwrap());
    }
    w.m.start_jobs(&keys);
    w.expect("x:created y:created y:running y:paused x:running x:paused y:running x:running");
    w.run();
    w.expect("y:waiting x:waiting y:pending x:pending PENDING(x)");
    w.m.job_finalize(keys[1]).unwrap();
    w.expect("COMPLETED(8192/8192) y:concluded COMPLETED(8192/8192) x:concluded");
}

#[test]
fn a_group_is_cancelled_as_a_whole() {
    let mut w = World::new();
    w.file("c", SIZE);
    w.file("d", SIZE);
    let group = Some(w.m.jobs.new_group());
    let mut keys = Vec::new();
    for (id, source, target, speed) in [("x", "a", "b", 0), ("y", "c", "d", 65536)] {
        let settings = Settings {
            group,
            speed,
            auto_dismiss: false,
            ..settings(JobType::Backup, id)
        };
        let plan = backup_plan(source, target, MirrorSyncMode::Full);
        keys.push(w.m.make_backup(settings, plan).unwrap());
    }
    w.m.start_jobs(&keys);
    w.run_until(1_000_000);
    w.m.jobs.take_events();
    assert_eq!(w.job("x").status(), JobStatus::Waiting);
    w.m.job_cancel(keys[0], true).unwrap();
    w.expect(
        "y:aborting CANCELLED(1024/8192) y:concluded x:aborting CANCELLED(8192/8192) \
         x:concluded",
    );
    assert_eq!(w.job("y").error.as_deref(), Some("Operation canceled"));
}

#[test]
fn a_job_that_never_worked_goes_without_a_trace() {
    let mut w = World::new();
    let plan = backup_plan("a", "b", MirrorSyncMode::Full);
    let settings = Settings {
        auto_dismiss: false,
        ..settings(JobType::Backup, "j")
    };
    let key = w.m.make_backup(settings, plan).unwrap();
    w.m.job_abandon(key);
    w.expect("j:created j:aborting j:concluded j:null");
    assert_eq!(w.m.blocks.nodes().count(), 2);
}

#[test]
fn what_cannot_start_leaves_nothing() {
    let mut w = World::new();
    w.file("small", 4 << 20);
    let slow = Settings {
        speed: -1,
        ..settings(JobType::Mirror, "j")
    };
    let e = w.mirror(slow).unwrap_err();
    assert_eq!(e.desc(), "Parameter 'speed' expects a non-negative value");
    w.expect("j:created j:null");
    for (id, text) in [("1x", "Invalid job ID '1x'"), ("", "Invalid job ID ''")] {
        let e = w.mirror(settings(JobType::Mirror, id)).unwrap_err();
        assert_eq!(e.desc(), text);
    }
    let plan = backup_plan("a", "small", MirrorSyncMode::Full);
    let e =
        w.m.make_backup(settings(JobType::Backup, "j"), plan)
            .unwrap_err();
    assert_eq!(e.desc(), "Source and target image have different sizes");
    w.expect("");
    assert_eq!(w.m.blocks.nodes().count(), 3, "no filter is left");
}

#[test]
fn a_mirror_to_a_shorter_disk_fails_at_its_first_step() {
    let mut w = World::new();
    w.file("small", 4 << 20);
    let plan = MirrorPlan {
        target: "small".to_owned(),
        ..mirror_plan()
    };
    w.m.start_mirror(settings(JobType::Mirror, "j"), plan)
        .unwrap();
    w.expect("j:created j:running");
    w.run();
    w.expect(
        "j:aborting COMPLETED(0/0,Source and target image have different sizes) j:concluded \
         j:null",
    );
}

#[test]
fn what_a_job_uses_is_refused_to_others() {
    let mut w = World::new();
    w.mirror(settings(JobType::Mirror, "j")).unwrap();
    let busy =
        |node: &str| format!("Node '{node}' is busy: block device is in use by block job: mirror");
    assert_eq!(w.m.blocks.resize("a", 1).unwrap_err().desc(), busy("a"));
    assert_eq!(w.m.blocks.resize("b", 1).unwrap_err().desc(), busy("b"));
    assert_eq!(w.m.blockdev_del("a").unwrap_err().desc(), busy("a"));
    assert_eq!(
        w.m.blockdev_del("b").unwrap_err().desc(),
        "Node b is in use"
    );
    let e = w.m.jobs.find_block_job("x").unwrap_err();
    assert_eq!(e.desc(), "Block job 'x' not found");
    let key = w.key("j");
    w.m.job_cancel(key, true).unwrap();
    w.run();
    w.m.blockdev_del("b").unwrap();
    w.m.blockdev_del("a").unwrap();
}

#[test]
fn nothing_waits_for_jobs_at_the_end_of_the_program() {
    let mut w = World::new();
    let slow = Settings {
        speed: 1,
        auto_dismiss: false,
        ..settings(JobType::Mirror, "j")
    };
    let key = w.mirror(slow).unwrap();
    while w
        .m
        .jobs
        .get(key)
        .is_some_and(|job| job.progress.current == 0)
    {
        w.turn();
    }
    w.m.jobs.take_events();
    w.m.quit_jobs();
    w.expect(
        "j:paused j:running j:paused j:running j:aborting CANCELLED(1024/8192) j:concluded \
         j:null",
    );
    assert_eq!(w.m.blocks.nodes().count(), 2);
}

#[test]
fn many_jobs_share_the_turns() {
    let mut w = World::new();
    for number in 0..50 {
        w.node(&format!(
            "null-co,node-name=s{number},size=1048576,read-zeroes=on"
        ));
        w.node(&format!("null-co,node-name=t{number},size=1048576"));
        let plan = MirrorPlan {
            source: format!("s{number}"),
            target: format!("t{number}"),
            ..mirror_plan()
        };
        w.m.start_mirror(settings(JobType::Mirror, &format!("j{number}")), plan)
            .unwrap();
    }
    w.run();
    assert!(w.m.jobs.iter().all(Job::is_ready));
}

#[test]
fn an_image_opened_for_a_job_goes_with_it() {
    let mut w = World::new();
    let path = w.dir.path().join("own");
    File::create(&path).unwrap().set_len(SIZE).unwrap();
    let image = Image {
        filename: Some(path.display().to_string()),
        format: Some(BlockdevDriver::Raw),
        ..Image::default()
    };
    let (target, _) = w.m.blocks.open_image(&image).unwrap();
    let plan = MirrorPlan {
        target,
        is_own_target: true,
        ..mirror_plan()
    };
    let key =
        w.m.start_mirror(settings(JobType::Mirror, "j"), plan)
            .unwrap();
    w.run();
    w.m.block_job_cancel(key, false).unwrap();
    w.run();
    assert_eq!(w.m.blocks.nodes().count(), 2);
    assert_eq!(w.bytes("own"), w.bytes("a"));
}
