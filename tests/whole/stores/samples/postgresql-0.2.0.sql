create table lamplighter_store (
      one bigint primary key check (one = 1), schema_version bigint not null, store_id text collate "C",
      boots bigint not null, last_no bigint not null, change_no bigint not null,
      clock_count text collate "C", clock_offset double precision, clock_stepped double precision, moved_to text collate "C"
    );

create table lamplighter_tallies (
  span bigint not null, start bigint not null, name text collate "C" not null, kind text collate "C" not null,
  n bigint not null, seconds double precision not null, buckets text collate "C" not null,
  primary key (span, start, name, kind)
);
insert into lamplighter_store values (1, 3, null, 0, 0, 0, null, null, null, null);
create sequence lamplighter_job_no;

create table lamplighter_jobs (
  no                bigint primary key default nextval('lamplighter_job_no'),
  id                text collate "C" not null unique,
  name              text collate "C" not null,
  data              text collate "C" not null,
  state             text collate "C" not null
    check (state = 'queued' or state = 'running' or state = 'done' or state = 'dead' or state = 'cancelled'),
  priority          bigint not null,
  run_at            double precision not null,
  queued_at         double precision not null,
  corr              text collate "C" not null,
  attempt           bigint not null default 0,
  claim_no          bigint not null default 0,
  settled_no        bigint not null default 0,
  max_attempts      bigint,
  timeout           double precision,
  expires_at        double precision,
  unique_key        text collate "C",
  schedule          text collate "C",
  slot              double precision,
  one_at_a_time     bigint not null default 0,
  boot              text collate "C",
  incarnation       bigint,
  counts_attempt    bigint not null default 0,
  deferred          bigint not null default 0,
  claimed_at        double precision,
  interruptions     bigint not null default 0,
  interruptions_max bigint,
  suspect_until     double precision,
  must_begin        bigint not null default 0,
  result            text collate "C",
  reason            text collate "C",
  error             text collate "C",
  traceback         text collate "C",
  progress          text collate "C",
  ended_at          double precision,
  rev               bigint not null default 1,
  waits             bigint not null default 0,
  due_in            double precision default 0.0,
  expires_in        double precision,
  carried           text collate "C",
  group_key         text collate "C",
  debounce_key      text collate "C",
  debounce_until    double precision
);
create index lamplighter_jobs_ready on lamplighter_jobs (name, priority desc, run_at, no)
       where state = 'queued' and waits = 0;
create index lamplighter_jobs_waiting on lamplighter_jobs (name, priority desc, run_at, no)
       where state = 'queued' and waits = 1;
create index lamplighter_jobs_later on lamplighter_jobs (name, run_at)
       where state = 'queued' and waits = 1;
create index lamplighter_jobs_linked on lamplighter_jobs (name)
       where state = 'queued' and waits = 2;
create index lamplighter_jobs_grouped on lamplighter_jobs (name, priority, group_key, run_at, no)
       where state = 'queued' and waits = 3;
create index lamplighter_jobs_tried on lamplighter_jobs (name)
       where state = 'queued' and attempt > 0;
create index lamplighter_jobs_running on lamplighter_jobs (name, group_key, boot) where state = 'running';
create unique index lamplighter_jobs_unique on lamplighter_jobs (name, unique_key)
       where unique_key is not null and state in ('queued', 'running');
create unique index lamplighter_jobs_debounced on lamplighter_jobs (name, debounce_key)
       where debounce_until is not null;
create index lamplighter_jobs_uncounted on lamplighter_jobs (no) where rev <= 0;
create index lamplighter_jobs_ended on lamplighter_jobs (state, ended_at) where ended_at is not null;
create index lamplighter_jobs_expiring on lamplighter_jobs (expires_at)
       where expires_at is not null and (state = 'queued' or deferred = 1);
create index lamplighter_jobs_suspect on lamplighter_jobs (name, suspect_until)
       where state = 'queued' and suspect_until is not null;
create index lamplighter_jobs_schedule on lamplighter_jobs (schedule, state)
       where schedule is not null and state in ('queued', 'running');
create index lamplighter_jobs_children on lamplighter_jobs (corr) where corr <> id;
create table lamplighter_attempts (
      job_id text collate "C" not null, claim_no bigint not null, attempt bigint not null, outcome text collate "C" not null,
      boot text collate "C" not null, begun bigint not null, claimed_at double precision not null, ended_at double precision not null,
      error text collate "C", traceback text collate "C", log text collate "C",
      primary key (job_id, claim_no)
    );

create table lamplighter_steps (
  job bigint not null, name text collate "C" not null, result text collate "C" not null, claim_no bigint not null, at double precision not null,
  primary key (job, name)
);
create table lamplighter_boots (
      boot text collate "C" primary key, pid bigint not null, host text collate "C" not null, started_at double precision not null, hint text collate "C",
      names text collate "C" not null default '[]', boot_no bigint not null, turn bigint not null default 0,
      unlogged text collate "C" not null default '[]', stopping bigint not null default 0, kind text collate "C" not null default 'worker',
      version text collate "C" not null default '', python text collate "C" not null default '', control text collate "C"
    ) with (fillfactor = 50);
create table lamplighter_pauses (
      name text collate "C" primary key, since double precision, "by" text collate "C", reason text collate "C", until double precision, "limit" bigint
    );
create table lamplighter_schedules (
      id text collate "C" primary key, name text collate "C" not null, "when" text collate "C" not null, data text collate "C" not null, timezone text collate "C" not null,
      dst_gap text collate "C" not null, dst_fold text collate "C" not null, catch_up text collate "C" not null, catch_up_window double precision not null,
      catch_up_max bigint not null, overlap text collate "C" not null, jitter double precision not null, durable bigint not null,
      paused bigint not null, accounted_to double precision not null, changed_at double precision not null, last_slot double precision,
      change_no bigint not null, key text collate "C", priority bigint not null default 0, max_attempts bigint, timeout double precision,
      expires double precision
    );
create index lamplighter_schedules_changes on lamplighter_schedules (change_no);
create table lamplighter_retired (
      schedule_id text collate "C" primary key, change_no bigint not null
    );
create table lamplighter_links (
      child bigint not null, place bigint not null, parent bigint not null, any_end bigint not null, met text collate "C",
      check (parent < child), primary key (child, place)
    );
create index lamplighter_links_parent on lamplighter_links (parent, child, place);
create index lamplighter_links_open on lamplighter_links (child) where met is null;
create table lamplighter_parents_to_check (
      parent bigint primary key, child bigint not null default 0, place bigint not null default 0
    );
create table lamplighter_gone_parents (
      no bigint primary key, id text collate "C" not null, name text collate "C" not null, state text collate "C" not null, rev bigint not null
    );
create table lamplighter_turns (
      name text collate "C" not null, priority bigint not null, group_key text collate "C" not null, next double precision not null,
      primary key (name, priority, group_key)
    ) with (fillfactor = 50);
create index lamplighter_turns_next on lamplighter_turns (name, priority, next);
create table lamplighter_rates (
      name text collate "C" not null, group_key text collate "C" not null, spent_to double precision not null, primary key (name, group_key)
    );
create sequence lamplighter_schedule_change_no;
create table lamplighter_schedule_changes (
      no bigint primary key default nextval('lamplighter_schedule_change_no'), schedule_id text collate "C" not null, at double precision not null, record text collate "C"
    );
create index lamplighter_schedule_changes_of on lamplighter_schedule_changes (schedule_id);
create table lamplighter_follow_ups (child bigint primary key, parent bigint not null);
create index lamplighter_follow_ups_of on lamplighter_follow_ups (parent);
create table lamplighter_slots (
      schedule_id text collate "C" not null, slot double precision not null, last double precision not null, count bigint not null,
      outcome text collate "C" not null, reason text collate "C", job_id text collate "C",
      primary key (schedule_id, slot)
    );

create unlogged table lamplighter_asks (
    no bigint generated always as identity primary key,
    boot text collate "C" not null,
    asker bigint not null,
    ask bytea not null,
    answer bytea,
    asked_at timestamptz not null default clock_timestamp()
)
;
create function lamplighter_json_at(data text, path text) returns jsonb language plpgsql immutable as $$ begin
         return jsonb_path_query_first(data::jsonb, ('strict ' || path)::jsonpath, '{}', true);
       exception when data_exception or invalid_text_representation then return null; end $$;
delete from lamplighter_store;
insert into "lamplighter_attempts" ("job_id", "claim_no", "attempt", "outcome", "boot", "begun", "claimed_at", "ended_at", "error", "traceback", "log") values ('dead-1', 1, 1, 'discarded', '1eb06e8a4b8d', 1, 1796155053.5732043, 1796155053.621992, 'Discard: it cannot work', NULL, '[[1796155053.62,"info","begun name=bad"]]');
insert into "lamplighter_attempts" ("job_id", "claim_no", "attempt", "outcome", "boot", "begun", "claimed_at", "ended_at", "error", "traceback", "log") values ('retries-1', 1, 1, 'failed', '1eb06e8a4b8d', 1, 1796155053.644881, 1796155053.6602259, 'ValueError: not yet', 'Traceback (most recent call last):
  File "/srv/lamplighter/tests/stores/sqlite/samples/write.py", line 34, in fail
    raise Discard("it cannot work") if job.name == "bad" else ValueError("not yet")
ValueError: not yet
', '[[1796155053.655,"info","begun name=flaky"]]');
insert into "lamplighter_boots" ("boot", "pid", "host", "started_at", "hint", "names", "boot_no", "turn", "unlogged", "stopping", "kind", "version", "python", "control") values ('1eb06e8a4b8d', 22828, 'host', 1796155053.5187101, 'cca8e36d-6da2-49af-89c0-dac33c3ae35a pid:[4026531836]', '["asks", "bad", "flaky", "hang", "quick"]', 2, 23, '[["1eb06e8a4b8d",2,23,1796155054.0382645,[{"k":"stepped","j":"running-1","n":"hang","r":2,"c":1,"d":"ebbc39aaf008","step":"s"}]]]', 0, 'worker', '0.2.0', '3.11.7', 'cca8e36d-6da2-49af-89c0-dac33c3ae35a pid:[4026531836]');
insert into "lamplighter_jobs" ("no", "id", "name", "data", "state", "priority", "run_at", "queued_at", "corr", "attempt", "claim_no", "settled_no", "max_attempts", "timeout", "expires_at", "unique_key", "schedule", "slot", "one_at_a_time", "boot", "incarnation", "counts_attempt", "deferred", "claimed_at", "interruptions", "interruptions_max", "suspect_until", "must_begin", "result", "reason", "error", "traceback", "progress", "ended_at", "rev", "waits", "due_in", "expires_in", "carried", "group_key", "debounce_key", "debounce_until") values (1, 'done-1', 'quick',  E'{"x":[1,2,{"y":"\\u00fc"}]}', 'done', 0, 1796155053.2506986, 1796155053.2506986, 'done-1', 1, 1, 1, NULL, NULL, NULL, NULL, NULL, NULL, 0, '254da123f8da', NULL, 1, 0, 1796155053.2872965, 0, 3, NULL, 0,  E'{"x":[1,2,{"y":"\\u00fc"}]}', NULL, NULL, NULL, NULL, 1796155053.4014983, 3, 0, 0.0, NULL, NULL, NULL, NULL, NULL);
insert into "lamplighter_jobs" ("no", "id", "name", "data", "state", "priority", "run_at", "queued_at", "corr", "attempt", "claim_no", "settled_no", "max_attempts", "timeout", "expires_at", "unique_key", "schedule", "slot", "one_at_a_time", "boot", "incarnation", "counts_attempt", "deferred", "claimed_at", "interruptions", "interruptions_max", "suspect_until", "must_begin", "result", "reason", "error", "traceback", "progress", "ended_at", "rev", "waits", "due_in", "expires_in", "carried", "group_key", "debounce_key", "debounce_until") values (2, 'dead-1', 'bad', 'null', 'dead', 0, 1796155053.5406163, 1796155053.5406163, 'dead-1', 1, 1, 1, NULL, NULL, NULL, NULL, NULL, NULL, 0, '1eb06e8a4b8d', NULL, 1, 0, 1796155053.5732043, 0, 3, NULL, 0, NULL, 'it cannot work', 'Discard: it cannot work', NULL, NULL, 1796155053.621992, 3, 0, 0.0, NULL, NULL, NULL, NULL, NULL);
insert into "lamplighter_jobs" ("no", "id", "name", "data", "state", "priority", "run_at", "queued_at", "corr", "attempt", "claim_no", "settled_no", "max_attempts", "timeout", "expires_at", "unique_key", "schedule", "slot", "one_at_a_time", "boot", "incarnation", "counts_attempt", "deferred", "claimed_at", "interruptions", "interruptions_max", "suspect_until", "must_begin", "result", "reason", "error", "traceback", "progress", "ended_at", "rev", "waits", "due_in", "expires_in", "carried", "group_key", "debounce_key", "debounce_until") values (3, 'retries-1', 'flaky', 'null', 'queued', 0, 1796158653.6602259, 1796155053.6442394, 'retries-1', 1, 1, 1, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, 1, 0, 1796155053.644881, 0, 3, NULL, 0, NULL, 'failed in attempt 1 of 5', 'ValueError: not yet', 'Traceback (most recent call last):
  File "/srv/lamplighter/tests/stores/sqlite/samples/write.py", line 34, in fail
    raise Discard("it cannot work") if job.name == "bad" else ValueError("not yet")
ValueError: not yet
', NULL, NULL, 3, 1, 3600.0, NULL, NULL, NULL, NULL, NULL);
insert into "lamplighter_jobs" ("no", "id", "name", "data", "state", "priority", "run_at", "queued_at", "corr", "attempt", "claim_no", "settled_no", "max_attempts", "timeout", "expires_at", "unique_key", "schedule", "slot", "one_at_a_time", "boot", "incarnation", "counts_attempt", "deferred", "claimed_at", "interruptions", "interruptions_max", "suspect_until", "must_begin", "result", "reason", "error", "traceback", "progress", "ended_at", "rev", "waits", "due_in", "expires_in", "carried", "group_key", "debounce_key", "debounce_until") values (4, 'waiting-1', 'asks', 'null', 'queued', 0, 4949755053.6960945, 1796155053.6631432, 'waiting-1', 0, 1, 1, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, 1, 0, 1796155053.664333, 0, 3, NULL, 0, NULL, 'waits for signal answer', NULL, NULL, NULL, NULL, 3, 1, 3153600000.0, NULL, NULL, NULL, NULL, NULL);
insert into "lamplighter_jobs" ("no", "id", "name", "data", "state", "priority", "run_at", "queued_at", "corr", "attempt", "claim_no", "settled_no", "max_attempts", "timeout", "expires_at", "unique_key", "schedule", "slot", "one_at_a_time", "boot", "incarnation", "counts_attempt", "deferred", "claimed_at", "interruptions", "interruptions_max", "suspect_until", "must_begin", "result", "reason", "error", "traceback", "progress", "ended_at", "rev", "waits", "due_in", "expires_in", "carried", "group_key", "debounce_key", "debounce_until") values (5, 'paused-1', 'paused', 'null', 'queued', 0, 1796155053.7217665, 1796155053.7217665, 'paused-1', 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, 0, 0, NULL, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1, 0, 0.0, NULL, NULL, NULL, NULL, NULL);
insert into "lamplighter_jobs" ("no", "id", "name", "data", "state", "priority", "run_at", "queued_at", "corr", "attempt", "claim_no", "settled_no", "max_attempts", "timeout", "expires_at", "unique_key", "schedule", "slot", "one_at_a_time", "boot", "incarnation", "counts_attempt", "deferred", "claimed_at", "interruptions", "interruptions_max", "suspect_until", "must_begin", "result", "reason", "error", "traceback", "progress", "ended_at", "rev", "waits", "due_in", "expires_in", "carried", "group_key", "debounce_key", "debounce_until") values (6, 'queued-1', 'nobody', 'null', 'queued', 5, 1796155053.747792, 1796155053.747792, 'queued-1', 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, 0, 0, NULL, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1, 0, 0.0, NULL, NULL, NULL, NULL, NULL);
insert into "lamplighter_jobs" ("no", "id", "name", "data", "state", "priority", "run_at", "queued_at", "corr", "attempt", "claim_no", "settled_no", "max_attempts", "timeout", "expires_at", "unique_key", "schedule", "slot", "one_at_a_time", "boot", "incarnation", "counts_attempt", "deferred", "claimed_at", "interruptions", "interruptions_max", "suspect_until", "must_begin", "result", "reason", "error", "traceback", "progress", "ended_at", "rev", "waits", "due_in", "expires_in", "carried", "group_key", "debounce_key", "debounce_until") values (7, 'later-1', 'nobody', 'null', 'queued', 0, 1796158653.757868, 1796155053.757868, 'later-1', 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, 0, 0, NULL, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1, 1, 3600.0, NULL, NULL, NULL, NULL, NULL);
insert into "lamplighter_jobs" ("no", "id", "name", "data", "state", "priority", "run_at", "queued_at", "corr", "attempt", "claim_no", "settled_no", "max_attempts", "timeout", "expires_at", "unique_key", "schedule", "slot", "one_at_a_time", "boot", "incarnation", "counts_attempt", "deferred", "claimed_at", "interruptions", "interruptions_max", "suspect_until", "must_begin", "result", "reason", "error", "traceback", "progress", "ended_at", "rev", "waits", "due_in", "expires_in", "carried", "group_key", "debounce_key", "debounce_until") values (8, 'unique-1', 'nobody', 'null', 'queued', 0, 1796155053.7597513, 1796155053.7597513, 'unique-1', 0, 0, 0, NULL, NULL, NULL, 'key', NULL, NULL, 0, NULL, NULL, 0, 0, NULL, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1, 0, 0.0, NULL, NULL, NULL, NULL, NULL);
insert into "lamplighter_jobs" ("no", "id", "name", "data", "state", "priority", "run_at", "queued_at", "corr", "attempt", "claim_no", "settled_no", "max_attempts", "timeout", "expires_at", "unique_key", "schedule", "slot", "one_at_a_time", "boot", "incarnation", "counts_attempt", "deferred", "claimed_at", "interruptions", "interruptions_max", "suspect_until", "must_begin", "result", "reason", "error", "traceback", "progress", "ended_at", "rev", "waits", "due_in", "expires_in", "carried", "group_key", "debounce_key", "debounce_until") values (9, 'ef8fe046216f00000000462d669f', 'nobody', 'null', 'queued', 0, 1796158653.7615957, 1796155053.7615957, 'ef8fe046216f00000000462d669f', 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, 0, 0, NULL, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1, 1, 3600.0, NULL, NULL, NULL, 'key', 1796162253.7615957);
insert into "lamplighter_jobs" ("no", "id", "name", "data", "state", "priority", "run_at", "queued_at", "corr", "attempt", "claim_no", "settled_no", "max_attempts", "timeout", "expires_at", "unique_key", "schedule", "slot", "one_at_a_time", "boot", "incarnation", "counts_attempt", "deferred", "claimed_at", "interruptions", "interruptions_max", "suspect_until", "must_begin", "result", "reason", "error", "traceback", "progress", "ended_at", "rev", "waits", "due_in", "expires_in", "carried", "group_key", "debounce_key", "debounce_until") values (10, 'grouped-1', 'nobody', 'null', 'queued', 0, 1796155053.7635648, 1796155053.7635648, 'grouped-1', 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, 0, 0, NULL, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1, 3, 0.0, NULL, NULL, 'g', NULL, NULL);
insert into "lamplighter_jobs" ("no", "id", "name", "data", "state", "priority", "run_at", "queued_at", "corr", "attempt", "claim_no", "settled_no", "max_attempts", "timeout", "expires_at", "unique_key", "schedule", "slot", "one_at_a_time", "boot", "incarnation", "counts_attempt", "deferred", "claimed_at", "interruptions", "interruptions_max", "suspect_until", "must_begin", "result", "reason", "error", "traceback", "progress", "ended_at", "rev", "waits", "due_in", "expires_in", "carried", "group_key", "debounce_key", "debounce_until") values (11, 'child-1', 'nobody', 'null', 'queued', 0, 1796155053.7686083, 1796155053.7686083, 'child-1', 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, 0, 0, NULL, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1, 2, 0.0, NULL, NULL, NULL, NULL, NULL);
insert into "lamplighter_jobs" ("no", "id", "name", "data", "state", "priority", "run_at", "queued_at", "corr", "attempt", "claim_no", "settled_no", "max_attempts", "timeout", "expires_at", "unique_key", "schedule", "slot", "one_at_a_time", "boot", "incarnation", "counts_attempt", "deferred", "claimed_at", "interruptions", "interruptions_max", "suspect_until", "must_begin", "result", "reason", "error", "traceback", "progress", "ended_at", "rev", "waits", "due_in", "expires_in", "carried", "group_key", "debounce_key", "debounce_until") values (12, 'expires-1', 'nobody', 'null', 'queued', 0, 1796155053.7840037, 1796155053.7840037, 'expires-1', 0, 0, 0, NULL, NULL, 1796158653.7840037, NULL, NULL, NULL, 0, NULL, NULL, 0, 0, NULL, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1, 0, 0.0, 3600.0, NULL, NULL, NULL, NULL);
insert into "lamplighter_jobs" ("no", "id", "name", "data", "state", "priority", "run_at", "queued_at", "corr", "attempt", "claim_no", "settled_no", "max_attempts", "timeout", "expires_at", "unique_key", "schedule", "slot", "one_at_a_time", "boot", "incarnation", "counts_attempt", "deferred", "claimed_at", "interruptions", "interruptions_max", "suspect_until", "must_begin", "result", "reason", "error", "traceback", "progress", "ended_at", "rev", "waits", "due_in", "expires_in", "carried", "group_key", "debounce_key", "debounce_until") values (14, 'cancelled-1', 'nobody', 'null', 'cancelled', 0, 1796155053.8000379, 1796155053.8000379, 'cancelled-1', 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, 0, 0, NULL, 0, NULL, NULL, 0, NULL, 'cancelled by ops', NULL, NULL, NULL, 1796155053.8083897, 2, 0, 0.0, NULL, NULL, NULL, NULL, NULL);
insert into "lamplighter_jobs" ("no", "id", "name", "data", "state", "priority", "run_at", "queued_at", "corr", "attempt", "claim_no", "settled_no", "max_attempts", "timeout", "expires_at", "unique_key", "schedule", "slot", "one_at_a_time", "boot", "incarnation", "counts_attempt", "deferred", "claimed_at", "interruptions", "interruptions_max", "suspect_until", "must_begin", "result", "reason", "error", "traceback", "progress", "ended_at", "rev", "waits", "due_in", "expires_in", "carried", "group_key", "debounce_key", "debounce_until") values (15, 'running-1', 'hang', 'null', 'running', 0, 1796155053.9676626, 1796155053.9676626, 'running-1', 0, 1, 0, NULL, 3600.0, NULL, NULL, NULL, NULL, 0, '1eb06e8a4b8d', 1, 1, 0, 1796155053.9756942, 0, 3, NULL, 0, NULL, NULL, NULL, NULL, '{"done":1,"total":2,"note":null}', NULL, 2, 0, 0.0, NULL, NULL, NULL, NULL, NULL);
insert into "lamplighter_jobs" ("no", "id", "name", "data", "state", "priority", "run_at", "queued_at", "corr", "attempt", "claim_no", "settled_no", "max_attempts", "timeout", "expires_at", "unique_key", "schedule", "slot", "one_at_a_time", "boot", "incarnation", "counts_attempt", "deferred", "claimed_at", "interruptions", "interruptions_max", "suspect_until", "must_begin", "result", "reason", "error", "traceback", "progress", "ended_at", "rev", "waits", "due_in", "expires_in", "carried", "group_key", "debounce_key", "debounce_until") values (16, 'uncounted-1', 'quick', 'null', 'queued', 0, 1796155054.04082, 1796155054.04082, 'uncounted-1', 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, 0, 0, NULL, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0.0, NULL, NULL, NULL, NULL, NULL);
insert into "lamplighter_jobs" ("no", "id", "name", "data", "state", "priority", "run_at", "queued_at", "corr", "attempt", "claim_no", "settled_no", "max_attempts", "timeout", "expires_at", "unique_key", "schedule", "slot", "one_at_a_time", "boot", "incarnation", "counts_attempt", "deferred", "claimed_at", "interruptions", "interruptions_max", "suspect_until", "must_begin", "result", "reason", "error", "traceback", "progress", "ended_at", "rev", "waits", "due_in", "expires_in", "carried", "group_key", "debounce_key", "debounce_until") values (13, 'marked-1', 'nobody', 'null', 'done', 0, 1796155053.7863395, 1796155053.7863395, 'marked-1', 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, 0, 0, NULL, 0, NULL, NULL, 0, '"own"', NULL, NULL, NULL, NULL, 1796155054.0520236,  -1, 0, 0.0, NULL, NULL, NULL, NULL, NULL);
insert into "lamplighter_links" ("child", "place", "parent", "any_end", "met") values (11, 1, 1, 0, 'done');
insert into "lamplighter_links" ("child", "place", "parent", "any_end", "met") values (11, 2, 7, 0, NULL);
insert into "lamplighter_pauses" ("name", "since", "by", "reason", "until", "limit") values ('paused', 1796155053.7085385, 'ops', 'maintenance', NULL, NULL);
insert into "lamplighter_pauses" ("name", "since", "by", "reason", "until", "limit") values ('nobody', NULL, NULL, NULL, NULL, 3);
insert into "lamplighter_rates" ("name", "group_key", "spent_to") values ('asks', '', 1796155053.724338);
insert into "lamplighter_schedules" ("id", "name", "when", "data", "timezone", "dst_gap", "dst_fold", "catch_up", "catch_up_window", "catch_up_max", "overlap", "jitter", "durable", "paused", "accounted_to", "changed_at", "last_slot", "change_no", "key", "priority", "max_attempts", "timeout", "expires") values ('aa0c80747ec19b98', 'nobody', '0 0 1 1 *', 'null', 'Europe/Berlin', 'run_after', 'first', 'latest', 86400.0, 100, 'allow', 0.0, 1, 0, 1796155053.9362972, 1796155053.9362972, NULL, 1, 'yearly', 0, NULL, NULL, NULL);
insert into "lamplighter_steps" ("job", "name", "result", "claim_no", "at") values (4, 'wait:answer', 'null', 1, 1796155053.690995);
insert into "lamplighter_steps" ("job", "name", "result", "claim_no", "at") values (15, 's', '1', 1, 1796155054.0382645);
insert into "lamplighter_store" ("one", "schema_version", "store_id", "boots", "last_no", "change_no", "clock_count", "clock_offset", "clock_stepped", "moved_to") values (1, 3, '7eb0ea6744762ff3bf5cd956', 2, 0, 1, 'of another machine', NULL, NULL, NULL);
insert into "lamplighter_tallies" ("span", "start", "name", "kind", "n", "seconds", "buckets") values (0, 0, 'quick', 'queued', 1, 0.0, '[]');
insert into "lamplighter_tallies" ("span", "start", "name", "kind", "n", "seconds", "buckets") values (60, 1796155020, 'quick', 'queued', 1, 0.0, '[]');
insert into "lamplighter_tallies" ("span", "start", "name", "kind", "n", "seconds", "buckets") values (3600, 1796151600, 'quick', 'queued', 1, 0.0, '[]');
insert into "lamplighter_tallies" ("span", "start", "name", "kind", "n", "seconds", "buckets") values (0, 0, 'quick', 'waited', 1, 0.03659796714782715, '[0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
insert into "lamplighter_tallies" ("span", "start", "name", "kind", "n", "seconds", "buckets") values (60, 1796155020, 'quick', 'waited', 1, 0.03659796714782715, '[0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
insert into "lamplighter_tallies" ("span", "start", "name", "kind", "n", "seconds", "buckets") values (3600, 1796151600, 'quick', 'waited', 1, 0.03659796714782715, '[0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
insert into "lamplighter_tallies" ("span", "start", "name", "kind", "n", "seconds", "buckets") values (0, 0, '', 'turn', 3, 0.07517361699137837, '[0,0,1,0,1,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
insert into "lamplighter_tallies" ("span", "start", "name", "kind", "n", "seconds", "buckets") values (60, 1796155020, '', 'turn', 3, 0.07517361699137837, '[0,0,1,0,1,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
insert into "lamplighter_tallies" ("span", "start", "name", "kind", "n", "seconds", "buckets") values (3600, 1796151600, '', 'turn', 3, 0.07517361699137837, '[0,0,1,0,1,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
insert into "lamplighter_tallies" ("span", "start", "name", "kind", "n", "seconds", "buckets") values (0, 0, '', 'lock', 3, 0.006430991998058744, '[2,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
insert into "lamplighter_tallies" ("span", "start", "name", "kind", "n", "seconds", "buckets") values (60, 1796155020, '', 'lock', 3, 0.006430991998058744, '[2,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
insert into "lamplighter_tallies" ("span", "start", "name", "kind", "n", "seconds", "buckets") values (3600, 1796151600, '', 'lock', 3, 0.006430991998058744, '[2,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
insert into "lamplighter_tallies" ("span", "start", "name", "kind", "n", "seconds", "buckets") values (0, 0, 'quick', 'done', 1, 0.0, '[]');
insert into "lamplighter_tallies" ("span", "start", "name", "kind", "n", "seconds", "buckets") values (60, 1796155020, 'quick', 'done', 1, 0.0, '[]');
insert into "lamplighter_tallies" ("span", "start", "name", "kind", "n", "seconds", "buckets") values (3600, 1796151600, 'quick', 'done', 1, 0.0, '[]');
insert into "lamplighter_tallies" ("span", "start", "name", "kind", "n", "seconds", "buckets") values (0, 0, 'quick', 'ran.succeeded', 1, 0.11420178413391113, '[0,0,0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0]');
insert into "lamplighter_tallies" ("span", "start", "name", "kind", "n", "seconds", "buckets") values (60, 1796155020, 'quick', 'ran.succeeded', 1, 0.11420178413391113, '[0,0,0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0]');
insert into "lamplighter_tallies" ("span", "start", "name", "kind", "n", "seconds", "buckets") values (3600, 1796151600, 'quick', 'ran.succeeded', 1, 0.11420178413391113, '[0,0,0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0]');
insert into "lamplighter_turns" ("name", "priority", "group_key", "next") values ('nobody', 0, 'g', 1796155053.7635648);
select setval('lamplighter_job_no', 16);
select setval('lamplighter_schedule_change_no', 1);
