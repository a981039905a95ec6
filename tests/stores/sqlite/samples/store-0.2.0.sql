BEGIN TRANSACTION;
CREATE TABLE lamplighter_attempts (
      job_id text not null, claim_no integer not null, attempt integer not null, outcome text not null,
      boot text not null, begun integer not null, claimed_at real not null, ended_at real not null,
      error text, traceback text, log text,
      primary key (job_id, claim_no)
    ) strict, without rowid;
INSERT INTO "lamplighter_attempts" VALUES('dead-1',1,1,'discarded','99ed0d07f134',1,1.79615500072412967e+09,1.79615500074395728e+09,'Discard: it cannot work',NULL,'[[1796155000.739,"info","begun name=bad"]]');
INSERT INTO "lamplighter_attempts" VALUES('retries-1',1,1,'failed','99ed0d07f134',1,1.7961550007526555e+09,1.79615500076778697e+09,'ValueError: not yet','Traceback (most recent call last):
  File "/srv/lamplighter/tests/stores/sqlite/samples/write.py", line 34, in fail
    raise Discard("it cannot work") if job.name == "bad" else ValueError("not yet")
ValueError: not yet
','[[1796155000.765,"info","begun name=flaky"]]');
CREATE TABLE lamplighter_boots (
      boot text primary key, pid integer not null, host text not null, started_at real not null, hint text,
      names text not null default '[]', boot_no integer not null, turn integer not null default 0,
      unlogged text not null default '[]', stopping integer not null default 0, kind text not null default 'worker',
      version text not null default '', python text not null default '', control text
    ) strict;
INSERT INTO "lamplighter_boots" VALUES('99ed0d07f134',21593,'host',1.79615500067206597e+09,'/srv/jobs.db-boots/99ed0d07f134.sock','["asks", "bad", "flaky", "hang", "quick"]',2,24,'[["99ed0d07f134",2,24,1796155001.0650756,[{"k":"stepped","j":"running-1","n":"hang","r":2,"c":1,"d":"ebbc39aaf008","step":"s"}]]]',0,'worker','0.2.0','3.11.7','/srv/jobs.db-boots/99ed0d07f134.ctl');
CREATE TABLE lamplighter_follow_ups (child integer primary key, parent integer not null) strict;
CREATE TABLE lamplighter_gone_parents (
      no integer primary key, id text not null, name text not null, state text not null, rev integer not null
    ) strict;
CREATE TABLE lamplighter_jobs (
  no                integer primary key,
  id                text not null unique,
  name              text not null,
  data              text not null,
  state             text not null
    check (state = 'queued' or state = 'running' or state = 'done' or state = 'dead' or state = 'cancelled'),
  priority          integer not null,
  run_at            real not null,
  queued_at         real not null,
  corr              text not null,
  attempt           integer not null default 0,
  claim_no          integer not null default 0,
  settled_no        integer not null default 0,
  max_attempts      integer,
  timeout           real,
  expires_at        real,
  unique_key        text,
  schedule          text,
  slot              real,
  one_at_a_time     integer not null default 0,
  boot              text,
  incarnation       integer,
  counts_attempt    integer not null default 0,
  deferred          integer not null default 0,
  claimed_at        real,
  interruptions     integer not null default 0,
  interruptions_max integer,
  suspect_until     real,
  must_begin        integer not null default 0,
  result            text,
  reason            text,
  error             text,
  traceback         text,
  progress          text,
  ended_at          real,
  rev               integer not null default 1,
  waits             integer not null default 0,
  due_in            real default 0.0,
  expires_in        real,
  carried           text,
  group_key         text,
  debounce_key      text,
  debounce_until    real
) strict
;
INSERT INTO "lamplighter_jobs" VALUES(1,'done-1','quick','{"x":[1,2,{"y":"\u00fc"}]}','done',0,1.79615500049214839e+09,1.79615500049214839e+09,'done-1',1,1,1,NULL,NULL,NULL,NULL,NULL,NULL,0,'2e532edae817',NULL,1,0,1.79615500051998138e+09,0,3,NULL,0,'{"x":[1,2,{"y":"\u00fc"}]}',NULL,NULL,NULL,NULL,1.79615500059587454e+09,3,0,0.0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "lamplighter_jobs" VALUES(2,'dead-1','bad','null','dead',0,1.79615500069596171e+09,1.79615500069596171e+09,'dead-1',1,1,1,NULL,NULL,NULL,NULL,NULL,NULL,0,'99ed0d07f134',NULL,1,0,1.79615500072412967e+09,0,3,NULL,0,NULL,'it cannot work','Discard: it cannot work',NULL,NULL,1.79615500074395728e+09,3,0,0.0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "lamplighter_jobs" VALUES(3,'retries-1','flaky','null','queued',0,1.79615860076778697e+09,1.79615500075198864e+09,'retries-1',1,1,1,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,1,0,1.7961550007526555e+09,0,3,NULL,0,NULL,'failed in attempt 1 of 5','ValueError: not yet','Traceback (most recent call last):
  File "/srv/lamplighter/tests/stores/sqlite/samples/write.py", line 34, in fail
    raise Discard("it cannot work") if job.name == "bad" else ValueError("not yet")
ValueError: not yet
',NULL,NULL,3,1,3600.0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "lamplighter_jobs" VALUES(4,'waiting-1','asks','null','queued',0,4.9497550008045063e+09,1.79615500078396415e+09,'waiting-1',0,1,1,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,1,0,1.79615500078469181e+09,0,3,NULL,0,NULL,'waits for signal answer',NULL,NULL,NULL,NULL,3,1,3153600000.0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "lamplighter_jobs" VALUES(5,'paused-1','paused','null','queued',0,1.79615500082368326e+09,1.79615500082368326e+09,'paused-1',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1,0,0.0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "lamplighter_jobs" VALUES(6,'queued-1','nobody','null','queued',5,1.79615500083997416e+09,1.79615500083997416e+09,'queued-1',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1,0,0.0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "lamplighter_jobs" VALUES(7,'later-1','nobody','null','queued',0,1.79615860085182547e+09,1.79615500085182547e+09,'later-1',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1,1,3600.0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "lamplighter_jobs" VALUES(8,'unique-1','nobody','null','queued',0,1.79615500085967445e+09,1.79615500085967445e+09,'unique-1',0,0,0,NULL,NULL,NULL,'key',NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1,0,0.0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "lamplighter_jobs" VALUES(9,'81afd435029c00000000f59182b1','nobody','null','queued',0,1.79615860087169289e+09,1.79615500087169289e+09,'81afd435029c00000000f59182b1',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1,1,3600.0,NULL,NULL,NULL,'key',1.79616220087169289e+09);
INSERT INTO "lamplighter_jobs" VALUES(10,'grouped-1','nobody','null','queued',0,1.79615500087304472e+09,1.79615500087304472e+09,'grouped-1',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1,3,0.0,NULL,NULL,'g',NULL,NULL);
INSERT INTO "lamplighter_jobs" VALUES(11,'child-1','nobody','null','queued',0,1.79615500088767528e+09,1.79615500088767528e+09,'child-1',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1,2,0.0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "lamplighter_jobs" VALUES(12,'expires-1','nobody','null','queued',0,1.79615500089976477e+09,1.79615500089976477e+09,'expires-1',0,0,0,NULL,NULL,1.79615860089976477e+09,NULL,NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1,0,0.0,3600.0,NULL,NULL,NULL,NULL);
INSERT INTO "lamplighter_jobs" VALUES(13,'marked-1','nobody','null','done',0,1.79615500091567444e+09,1.79615500091567444e+09,'marked-1',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,'"own"',NULL,NULL,NULL,NULL,1.79615500109555101e+09,-1,0,0.0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "lamplighter_jobs" VALUES(14,'cancelled-1','nobody','null','cancelled',0,1.79615500092786622e+09,1.79615500092786622e+09,'cancelled-1',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,NULL,'cancelled by ops',NULL,NULL,NULL,1.79615500093984031e+09,2,0,0.0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "lamplighter_jobs" VALUES(15,'running-1','hang','null','running',0,1.79615500105138278e+09,1.79615500105138278e+09,'running-1',0,1,0,NULL,3600.0,NULL,NULL,NULL,NULL,0,'99ed0d07f134',1,1,0,1.7961550010517106e+09,0,3,NULL,0,NULL,NULL,NULL,NULL,'{"done":1,"total":2,"note":null}',NULL,2,0,0.0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "lamplighter_jobs" VALUES(16,'uncounted-1','quick','null','queued',0,1.79615500108018279e+09,1.79615500108018279e+09,'uncounted-1',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0.0,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE lamplighter_links (
      child integer not null, place integer not null, parent integer not null, any_end integer not null, met text,
      check (parent < child), primary key (child, place)
    ) strict, without rowid;
INSERT INTO "lamplighter_links" VALUES(11,1,1,0,'done');
INSERT INTO "lamplighter_links" VALUES(11,2,7,0,NULL);
CREATE TABLE lamplighter_parents_to_check (
      parent integer primary key, child integer not null default 0, place integer not null default 0
    ) strict;
CREATE TABLE lamplighter_pauses (
      name text primary key, since real, "by" text, reason text, until real, "limit" integer
    ) strict;
INSERT INTO "lamplighter_pauses" VALUES('paused',1.79615500081613397e+09,'ops','maintenance',NULL,NULL);
INSERT INTO "lamplighter_pauses" VALUES('nobody',NULL,NULL,NULL,NULL,3);
CREATE TABLE lamplighter_rates (
      name text not null, group_key text not null, spent_to real not null, primary key (name, group_key)
    ) strict, without rowid;
INSERT INTO "lamplighter_rates" VALUES('asks','',1.79615500084469676e+09);
CREATE TABLE lamplighter_retired (
      schedule_id text primary key, change_no integer not null
    ) strict, without rowid;
CREATE TABLE lamplighter_schedule_changes (
      no integer primary key, schedule_id text not null, at real not null, record text
    ) strict;
CREATE TABLE lamplighter_schedules (
      id text primary key, name text not null, "when" text not null, data text not null, timezone text not null,
      dst_gap text not null, dst_fold text not null, catch_up text not null, catch_up_window real not null,
      catch_up_max integer not null, overlap text not null, jitter real not null, durable integer not null,
      paused integer not null, accounted_to real not null, changed_at real not null, last_slot real,
      change_no integer not null, key text, priority integer not null default 0, max_attempts integer, timeout real,
      expires real
    ) strict;
INSERT INTO "lamplighter_schedules" VALUES('aa0c80747ec19b98','nobody','0 0 1 1 *','null','Europe/Berlin','run_after','first','latest',86400.0,100,'allow',0.0,1,0,1.79615500103057765e+09,1.79615500103057765e+09,NULL,1,'yearly',0,NULL,NULL,NULL);
CREATE TABLE lamplighter_slots (
      schedule_id text not null, slot real not null, last real not null, count integer not null,
      outcome text not null, reason text, job_id text,
      primary key (schedule_id, slot)
    ) strict, without rowid;
CREATE TABLE lamplighter_steps (
  job integer not null, name text not null, result text not null, claim_no integer not null, at real not null,
  primary key (job, name)
) strict, without rowid
;
INSERT INTO "lamplighter_steps" VALUES(4,'wait:answer','null',1,1.79615500079364275e+09);
INSERT INTO "lamplighter_steps" VALUES(15,'s','1',1,1.79615500106507563e+09);
CREATE TABLE lamplighter_store (
      one integer primary key check (one = 1), schema_version integer not null, store_id text,
      boots integer not null, last_no integer not null, change_no integer not null,
      clock_count text, clock_offset real, clock_stepped real, moved_to text
    ) strict;
INSERT INTO "lamplighter_store" VALUES(1,3,'848d7fa64ebd466ee50e5bff',2,0,1,'of another machine',1.7960770608832395e+09,NULL,NULL);
CREATE TABLE lamplighter_tallies (
  span integer not null, start integer not null, name text not null, kind text not null,
  n integer not null, seconds real not null, buckets text not null,
  primary key (span, start, name, kind)
) strict, without rowid
;
INSERT INTO "lamplighter_tallies" VALUES(0,0,'','lock',3,1.25491089856950566e-02,'[2,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
INSERT INTO "lamplighter_tallies" VALUES(0,0,'','turn',3,3.27109349891543388e-02,'[0,0,0,1,2,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
INSERT INTO "lamplighter_tallies" VALUES(0,0,'quick','done',1,0.0,'[]');
INSERT INTO "lamplighter_tallies" VALUES(0,0,'quick','queued',1,0.0,'[]');
INSERT INTO "lamplighter_tallies" VALUES(0,0,'quick','ran.succeeded',1,7.58931636810302734e-02,'[0,0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
INSERT INTO "lamplighter_tallies" VALUES(0,0,'quick','waited',1,2.78329849243164062e-02,'[0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
INSERT INTO "lamplighter_tallies" VALUES(60,1796154960,'','lock',3,1.25491089856950566e-02,'[2,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
INSERT INTO "lamplighter_tallies" VALUES(60,1796154960,'','turn',3,3.27109349891543388e-02,'[0,0,0,1,2,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
INSERT INTO "lamplighter_tallies" VALUES(60,1796154960,'quick','done',1,0.0,'[]');
INSERT INTO "lamplighter_tallies" VALUES(60,1796154960,'quick','queued',1,0.0,'[]');
INSERT INTO "lamplighter_tallies" VALUES(60,1796154960,'quick','ran.succeeded',1,7.58931636810302734e-02,'[0,0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
INSERT INTO "lamplighter_tallies" VALUES(60,1796154960,'quick','waited',1,2.78329849243164062e-02,'[0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
INSERT INTO "lamplighter_tallies" VALUES(3600,1796151600,'','lock',3,1.25491089856950566e-02,'[2,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
INSERT INTO "lamplighter_tallies" VALUES(3600,1796151600,'','turn',3,3.27109349891543388e-02,'[0,0,0,1,2,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
INSERT INTO "lamplighter_tallies" VALUES(3600,1796151600,'quick','done',1,0.0,'[]');
INSERT INTO "lamplighter_tallies" VALUES(3600,1796151600,'quick','queued',1,0.0,'[]');
INSERT INTO "lamplighter_tallies" VALUES(3600,1796151600,'quick','ran.succeeded',1,7.58931636810302734e-02,'[0,0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
INSERT INTO "lamplighter_tallies" VALUES(3600,1796151600,'quick','waited',1,2.78329849243164062e-02,'[0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]');
CREATE TABLE lamplighter_turns (
      name text not null, priority integer not null, group_key text not null, next real not null,
      primary key (name, priority, group_key)
    ) strict, without rowid;
INSERT INTO "lamplighter_turns" VALUES('nobody',0,'g',1.79615500087304472e+09);
CREATE INDEX lamplighter_jobs_ready on lamplighter_jobs (name, priority desc, run_at, no)
       where state = 'queued' and waits = 0;
CREATE INDEX lamplighter_jobs_waiting on lamplighter_jobs (name, priority desc, run_at, no)
       where state = 'queued' and waits = 1;
CREATE INDEX lamplighter_jobs_later on lamplighter_jobs (name, run_at)
       where state = 'queued' and waits = 1;
CREATE INDEX lamplighter_jobs_linked on lamplighter_jobs (name)
       where state = 'queued' and waits = 2;
CREATE INDEX lamplighter_jobs_grouped on lamplighter_jobs (name, priority, group_key, run_at, no)
       where state = 'queued' and waits = 3;
CREATE INDEX lamplighter_jobs_tried on lamplighter_jobs (name)
       where state = 'queued' and attempt > 0;
CREATE INDEX lamplighter_jobs_running on lamplighter_jobs (name, group_key, boot) where state = 'running';
CREATE UNIQUE INDEX lamplighter_jobs_unique on lamplighter_jobs (name, unique_key)
       where unique_key is not null and state in ('queued', 'running');
CREATE UNIQUE INDEX lamplighter_jobs_debounced on lamplighter_jobs (name, debounce_key)
       where debounce_until is not null;
CREATE INDEX lamplighter_jobs_uncounted on lamplighter_jobs (no) where rev <= 0;
CREATE INDEX lamplighter_jobs_ended on lamplighter_jobs (state, ended_at) where ended_at is not null;
CREATE INDEX lamplighter_jobs_expiring on lamplighter_jobs (expires_at)
       where expires_at is not null and (state = 'queued' or deferred = 1);
CREATE INDEX lamplighter_jobs_suspect on lamplighter_jobs (name, suspect_until)
       where state = 'queued' and suspect_until is not null;
CREATE INDEX lamplighter_jobs_schedule on lamplighter_jobs (schedule, state)
       where schedule is not null and state in ('queued', 'running');
CREATE INDEX lamplighter_jobs_children on lamplighter_jobs (corr) where corr <> id;
CREATE INDEX lamplighter_schedules_changes on lamplighter_schedules (change_no);
CREATE INDEX lamplighter_links_parent on lamplighter_links (parent, child, place);
CREATE INDEX lamplighter_links_open on lamplighter_links (child) where met is null;
CREATE INDEX lamplighter_turns_next on lamplighter_turns (name, priority, next);
CREATE INDEX lamplighter_schedule_changes_of on lamplighter_schedule_changes (schedule_id);
CREATE INDEX lamplighter_follow_ups_of on lamplighter_follow_ups (parent);
COMMIT;
