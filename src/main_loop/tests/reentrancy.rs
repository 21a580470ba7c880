//! What if this runs inside the callback it changes?

use super::*;

#[test]
fn a_watch_removes_itself() {
    each_way(|mut app| {
        let pipe = Pipe::full();
        let own_id = Rc::new(Cell::new(None));
        let id = own_id.clone();
        let watch = Watch::new("self", pipe.fd(), IN, move |app: &mut App, _| {
            app.say("self");
            let id = id.get().unwrap();
            assert!(app.main_loop.has_watch(id));
            assert!(app.main_loop.remove_watch(id));
            assert!(!app.main_loop.remove_watch(id), "a second time");
            Flow::Keep // and this does not bring it back
        });
        own_id.set(Some(app.main_loop.add_watch(watch)));
        app.expect(&["self"]);
        app.expect(&[]);
        assert_eq!(app.main_loop.watch_count(), 0);
    });
}

#[test]
fn a_watch_is_removed_by_what_it_returns() {
    each_way(|mut app| {
        let pipe = Pipe::full();
        let watch = Watch::new("once", pipe.fd(), IN, |app: &mut App, _| {
            app.say("once");
            Flow::Remove
        });
        let id = app.main_loop.add_watch(watch);
        app.expect(&["once"]);
        app.expect(&[]);
        assert!(!app.main_loop.has_watch(id));
    });
}

#[test]
fn a_watch_removes_one_that_is_ready_behind_it() {
    each_way(|mut app| {
        let (first, second) = (Pipe::full(), Pipe::full());
        let victim = Rc::new(Cell::new(None));
        let id = victim.clone();
        let watch = Watch::new("first", first.fd(), IN, move |app: &mut App, _| {
            app.say("first");
            app.main_loop.remove_watch(id.get().unwrap());
            Flow::Remove
        });
        app.main_loop.add_watch(watch);
        victim.set(Some(app.logger("second", second.fd(), IN)));
        app.expect(&["first"]);
        app.expect(&[]);
    });
}

#[test]
fn a_watch_removes_one_that_ran_before_it() {
    each_way(|mut app| {
        let (first, second) = (Pipe::full(), Pipe::full());
        let victim = app.logger("first", first.fd(), IN);
        let watch = Watch::new("second", second.fd(), IN, move |app: &mut App, _| {
            app.say("second");
            app.main_loop.remove_watch(victim);
            Flow::Remove
        });
        app.main_loop.add_watch(watch);
        app.expect(&["first IN", "second"]);
        app.expect(&[]);
    });
}

#[test]
fn a_watch_is_replaced_while_it_runs() {
    each_way(|mut app| {
        let pipe = Pipe::full();
        let own_id = Rc::new(Cell::new(None));
        let (id, fd) = (own_id.clone(), pipe.fd());
        let watch = Watch::new("accept", pipe.fd(), IN, move |app: &mut App, _| {
            app.say("accept");
            let old = id.get().unwrap();
            let new = app.replace_watch(old, logger("read", fd.clone(), IN));
            assert!(new.is_some());
            assert!(app
                .replace_watch(old, logger("lost", fd.clone(), IN))
                .is_none());
            app.say("still running"); // its captures are still there
            assert_eq!(id.get(), Some(old));
            Flow::Remove // means the old one, which is gone, not the new one
        });
        own_id.set(Some(app.main_loop.add_watch(watch)));
        app.expect(&["accept", "still running"]);
        app.expect(&["read IN"]);
        assert_eq!(app.main_loop.watch_count(), 1);
    });
}

#[test]
fn a_watch_replaced_while_ready_runs_in_the_next_turn() {
    each_way(|mut app| {
        let (first, second) = (Pipe::full(), Pipe::full());
        let victim = Rc::new(Cell::new(None));
        let (id, fd) = (victim.clone(), second.fd());
        let watch = Watch::new("first", first.fd(), IN, move |app: &mut App, _| {
            app.say("first");
            let new = logger("new", fd.clone(), IN);
            app.replace_watch(id.get().unwrap(), new);
            Flow::Remove
        });
        app.main_loop.add_watch(watch);
        victim.set(Some(app.logger("old", second.fd(), IN)));
        app.expect(&["first"]);
        app.expect(&["new IN"]);
    });
}

#[test]
fn a_reused_fd_number_does_not_get_the_old_readiness() {
    each_way(|mut app| {
        let first = Pipe::full();
        let victim = Pipe::full();
        let number = victim.number();
        let state = Rc::new(Cell::new(None));
        let inner = state.clone();
        let keep = Rc::new(Cell::new(None));
        let kept = keep.clone();
        let watch = Watch::new("first", first.fd(), IN, move |app: &mut App, _| {
            app.say("first");
            let (id, victim): (WatchId, Pipe) = inner.take().unwrap();
            app.main_loop.remove_watch(id);
            drop(victim);
            // The kernel gives out the lowest number, but other tests run in
            // this process too: try until it comes.
            let empty = until(Pipe::new, |pipe| pipe.number() == number);
            app.logger("new", empty.fd(), IN);
            kept.set(Some(empty));
            Flow::Remove
        });
        app.main_loop.add_watch(watch);
        let id = app.logger("old", victim.fd(), IN);
        state.set(Some((id, victim)));
        app.expect(&["first"]);
        app.expect(&[]);
        keep.take().unwrap().write();
    });
}

/// Makes things until one is as wanted, keeping the others meanwhile; or gives
/// the last of a hundred.
fn until<T>(make: impl Fn() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let mut made: Vec<T> = Vec::new();
    loop {
        let one = make();
        if wanted(&one) || made.len() == 100 {
            return one;
        }
        made.push(one);
    }
}

#[test]
fn a_removed_watch_is_not_reported_through_a_duplicate_of_its_fd() {
    each_way(|mut app| {
        let pipe = Pipe::full();
        let duplicate = pipe.reader.try_clone().unwrap();
        let id = app.logger("old", pipe.fd(), IN);
        app.expect(&["old IN"]);
        app.main_loop.remove_watch(id);
        drop(pipe); // the duplicate keeps the file open, and epoll's memory of it
        app.expect(&[]);
        app.logger("new", Rc::new(duplicate), IN);
        app.expect(&["new IN"]);
    });
}

#[test]
fn a_watch_keeps_its_fd_open_and_no_longer_than_itself() {
    each_way(|mut app| {
        let mut pipe = Pipe::new();
        let writer = pipe.writer.take().unwrap();
        let id = app.logger("reader", pipe.fd(), IN);
        drop(pipe);
        app.expect(&[]);
        nix::unistd::write(&writer, b"x").unwrap();
        app.expect(&["reader IN"]);
        app.main_loop.remove_watch(id);
        assert_eq!(
            nix::unistd::write(&writer, b"x"),
            Err(nix::errno::Errno::EPIPE)
        );
    });
}

#[test]
fn a_watch_deletes_the_chardev_it_runs_for() {
    each_way(|mut app| {
        let pipe = Pipe::full();
        let key = app.chardevs.vacant_key();
        let watch = Watch::new("tcp_chr_read", pipe.fd(), IN, move |app: &mut App, _| {
            let chardev = app.chardevs.remove(key);
            app.main_loop.remove_watch(chardev.watch);
            app.say("deleted");
            let byte = read_byte(&chardev.fd);
            app.say(format!("read {byte:?}"));
            Flow::Keep
        });
        let watch = app.main_loop.add_watch(watch);
        let fd = pipe.reader.clone();
        app.chardevs.insert(ToyChardev { watch, fd });
        app.expect(&["deleted", "read Some(120)"]);
        app.expect(&[]);
        assert_eq!(Rc::strong_count(&pipe.reader), 1, "nobody else holds it");
    });
}

/// A → B → A in one stack: A's callback calls B, which calls back into A, which
/// gives A another watch, while A's callback is still on the stack.
#[test]
fn a_nested_dispatch_replaces_the_watch_at_the_bottom_of_the_stack() {
    fn a_read(app: &mut App, a: usize) {
        app.say("a_read");
        b_write(app, a);
        app.say("a_read ends");
    }
    fn b_write(app: &mut App, a: usize) {
        app.say("b_write");
        a_disconnect(app, a);
    }
    fn a_disconnect(app: &mut App, a: usize) {
        app.say("a_disconnect");
        let (old, fd) = (app.chardevs[a].watch, app.chardevs[a].fd.clone());
        let accept = logger("a_accept", fd, IN);
        let new = app.replace_watch(old, accept).unwrap();
        app.chardevs[a].watch = new;
    }
    each_way(|mut app| {
        let pipe = Pipe::full();
        let a = app.chardevs.vacant_key();
        let watch = Watch::new("a_read", pipe.fd(), IN, move |app: &mut App, _| {
            a_read(app, a);
            Flow::Keep
        });
        let watch = app.main_loop.add_watch(watch);
        let fd = pipe.reader.clone();
        app.chardevs.insert(ToyChardev { watch, fd });
        app.expect(&["a_read", "b_write", "a_disconnect", "a_read ends"]);
        app.expect(&["a_accept IN"]);
        assert_eq!(app.main_loop.watch_count(), 1);
    });
}

#[test]
fn a_watch_added_in_a_callback_runs_in_the_next_turn() {
    each_way(|mut app| {
        let (first, second) = (Pipe::full(), Pipe::full());
        let fd = second.fd();
        let same = first.fd();
        let watch = Watch::new("first", first.fd(), IN, move |app: &mut App, _| {
            app.say("first");
            app.logger("other fd", fd.clone(), IN);
            app.logger("same fd", same.clone(), IN);
            Flow::Remove
        });
        app.main_loop.add_watch(watch);
        app.expect(&["first"]);
        app.expect(&["other fd IN", "same fd IN"]);
    });
}

#[test]
#[cfg_attr(
    debug_assertions,
    should_panic(expected = "called from inside a callback")
)]
fn a_turn_within_a_turn_is_refused() {
    let mut app = App::simulated();
    app.main_loop.bh_schedule_oneshot("nests", |app: &mut App| {
        let error = main_loop_wait(app, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Deadlock);
        app.say("refused");
    });
    app.expect(&["refused"]);
}

/// Makes a turn in which a callback panics, and catches that outside the loop.
#[track_caller]
fn expect_panic(app: &mut App, expected: &[&str]) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| app.turn()));
    assert!(outcome.is_err());
    assert_eq!(std::mem::take(&mut app.log), expected);
}

/// Says its name and, while the gate of the host is open, panics.
fn panics(name: &'static str) -> impl FnMut(&mut App) {
    move |app| {
        app.say(name);
        if app.open {
            // Without the hook, which would print.
            std::panic::resume_unwind(Box::new(()));
        }
    }
}

#[test]
fn the_loop_goes_on_after_a_callback_panicked() {
    let mut app = App::simulated();
    app.main_loop.bh_schedule_oneshot("panics", panics("once"));
    expect_panic(&mut app, &["once"]);
    app.main_loop
        .bh_schedule_oneshot("after", |app: &mut App| app.say("after"));
    app.expect(&["after"]);
}

#[test]
fn a_watch_that_panicked_stays_with_its_callback() {
    each_way(|mut app| {
        let (first, second) = (Pipe::full(), Pipe::full());
        let mut callback = panics("watch");
        let watch = Watch::new("watch", first.fd(), IN, move |app: &mut App, _| {
            callback(app);
            Flow::Remove
        });
        let watch = app.main_loop.add_watch(watch);
        app.logger("other", second.fd(), IN);
        expect_panic(&mut app, &["watch"]);
        assert!(app.main_loop.has_watch(watch));
        app.open = false;
        app.expect(&["watch", "other IN"]);
        app.expect(&["other IN"]);
    });
}

#[test]
fn a_timer_that_panicked_can_be_armed_again_and_those_after_it_run() {
    let mut app = App::simulated();
    let realtime = ClockType::Realtime;
    let first = app.main_loop.timer_new(realtime, "t", panics("first"));
    let second = app
        .main_loop
        .timer_new(realtime, "t", |app: &mut App| app.say("second"));
    app.main_loop.timer_mod(first, 0);
    app.main_loop.timer_mod(second, 0);
    expect_panic(&mut app, &["first"]);
    app.expect(&["second"]);
    app.open = false;
    app.main_loop.timer_mod(first, 0);
    app.expect(&["first"]);
}

#[test]
fn bottom_halves_after_one_that_panicked_run_in_their_order() {
    let mut app = App::simulated();
    let first = app.main_loop.bh_new("first", panics("first"));
    let second = app.main_loop.bh_new("second", |app: &mut App| {
        app.say("second");
    });
    for id in [first, second] {
        app.main_loop.bh_schedule(id);
    }
    app.main_loop
        .bh_schedule_oneshot("third", |app: &mut App| app.say("third"));
    expect_panic(&mut app, &["first"]);
    assert!(app.main_loop.bh_scheduled(second));
    app.open = false;
    app.main_loop.bh_schedule(first);
    app.main_loop.bh_schedule(second);
    app.expect(&["second", "third", "first"]);
}

#[test]
fn a_watch_removed_before_its_callback_panicked_stays_removed() {
    let mut app = App::simulated();
    let pipe = Pipe::full();
    let own_id = Rc::new(Cell::new(None));
    let id = own_id.clone();
    let watch = Watch::new("watch", pipe.fd(), IN, move |app: &mut App, _| {
        app.main_loop.remove_watch(id.get().unwrap());
        std::panic::resume_unwind(Box::new(()))
    });
    own_id.set(Some(app.main_loop.add_watch(watch)));
    expect_panic(&mut app, &[]);
    app.expect(&[]);
    assert_eq!(Rc::strong_count(&own_id), 1, "the callback was dropped");
}
