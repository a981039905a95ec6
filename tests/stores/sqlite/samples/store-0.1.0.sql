-- A store that a runtime of 0.1.0 left which was killed, with a job in every state; its own `.dump`.
BEGIN TRANSACTION;
CREATE TABLE lamplighter_attempts (
          job_id text not null, claim_no integer not null, attempt integer not null, outcome text not null,
          boot text not null, begun integer not null, claimed_at real not null, ended_at real not null,
          error text, traceback text,
          primary key (job_id, claim_no)
        ) strict, without rowid;
INSERT INTO "lamplighter_attempts" VALUES('dead-1',1,1,'failed','e07cef830678',1,1.79570402929394292e+09,1.79570402942780613e+09,'ZeroDivisionError: division by zero','Traceback (most recent call last):
  File "/srv/lamplighter/lanes/calls.py", line 32, in _call
    result = handler.fn(lane.job())
             ^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/host.py", line 9, in <lambda>
    rt.jobs.add_handler(''bad'',lambda job:1/0,max_attempts=2,backoff=[0.0])
                                         ~^~
ZeroDivisionError: division by zero
');
INSERT INTO "lamplighter_attempts" VALUES('dead-1',2,2,'failed','e07cef830678',1,1.79570402942780613e+09,1.7957040295250771e+09,'ZeroDivisionError: division by zero','Traceback (most recent call last):
  File "/srv/lamplighter/lanes/calls.py", line 32, in _call
    result = handler.fn(lane.job())
             ^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/host.py", line 9, in <lambda>
    rt.jobs.add_handler(''bad'',lambda job:1/0,max_attempts=2,backoff=[0.0])
                                         ~^~
ZeroDivisionError: division by zero
');
INSERT INTO "lamplighter_attempts" VALUES('retries-1',1,1,'failed','e07cef830678',1,1.79570402963581728e+09,1.79570402971978807e+09,'ZeroDivisionError: division by zero','Traceback (most recent call last):
  File "/srv/lamplighter/lanes/calls.py", line 32, in _call
    result = handler.fn(lane.job())
             ^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/host.py", line 10, in <lambda>
    rt.jobs.add_handler(''flaky'',lambda job:1/0,max_attempts=5,backoff=[3600.0])
                                           ~^~
ZeroDivisionError: division by zero
');
CREATE TABLE lamplighter_boots (
          boot text primary key, pid integer not null, host text not null, started_at real not null,
          hint text, names text not null default '[]', turn text not null default '[]'
        ) strict;
INSERT INTO "lamplighter_boots" VALUES('e07cef830678',321,'host',1.79570402878471446e+09,'/srv/jobs.db-boots/e07cef830678.sock','["bad", "flaky", "hang", "quick"]','[[39,"job.done","866844f5b6d227b7-1795704032",[37,38,39]]]');
CREATE TABLE lamplighter_jobs (
  no                integer primary key autoincrement,
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
  solo              integer not null default 0,
  boot              text,
  incarnation       integer,
  begun             integer not null default 0,
  deferred          integer not null default 0,
  claimed_at        real,
  interruptions     integer not null default 0,
  interruptions_max integer,
  suspect_until     real,
  wary              integer not null default 0,
  result            text,
  reason            text,
  error             text,
  traceback         text,
  progress          text,
  ended_at          real,
  rev               integer,
  told              text,
  trail             text not null default ''
) strict;
INSERT INTO "lamplighter_jobs" VALUES(1,'done-1','quick','1','done',0,1.79570402890402984e+09,1.79570402890402984e+09,'done-1',1,1,1,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,1,0,1.79570402892121362e+09,0,3,NULL,0,'{"n":1}',NULL,NULL,NULL,NULL,1.79570402910131096e+09,5,'done','');
INSERT INTO "lamplighter_jobs" VALUES(2,'866844f5b6d227b7-1795704029','quick','{"by":"schedule"}','done',0,1795704029.0,1.79570402907292151e+09,'866844f5b6d227b7-1795704029',1,1,1,NULL,NULL,NULL,NULL,'866844f5b6d227b7',1795704029.0,0,NULL,NULL,1,0,1.79570402907292151e+09,0,3,NULL,0,'{"n":{"by":"schedule"}}',NULL,NULL,NULL,NULL,1.7957040291525259e+09,6,'done','');
INSERT INTO "lamplighter_jobs" VALUES(3,'quick-0','quick','0','done',0,1795704029.15266,1795704029.15266,'quick-0',1,1,1,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,1,0,1.79570402919268584e+09,0,3,NULL,0,'{"n":0}',NULL,NULL,NULL,NULL,1.79570402925410723e+09,10,'done','');
INSERT INTO "lamplighter_jobs" VALUES(4,'quick-1','quick','1','done',0,1.79570402922541689e+09,1.79570402922541689e+09,'quick-1',1,1,1,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,1,0,1.79570402925410723e+09,0,3,NULL,0,'{"n":1}',NULL,NULL,NULL,NULL,1.79570402929394292e+09,13,'done','');
INSERT INTO "lamplighter_jobs" VALUES(5,'dead-1','bad','null','dead',0,1.79570402942780613e+09,1.79570402929368209e+09,'dead-1',2,2,2,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,1,0,1.79570402942780613e+09,0,3,NULL,0,NULL,'failed in attempt 2 of 2','ZeroDivisionError: division by zero','Traceback (most recent call last):
  File "/srv/lamplighter/lanes/calls.py", line 32, in _call
    result = handler.fn(lane.job())
             ^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/host.py", line 9, in <lambda>
    rt.jobs.add_handler(''bad'',lambda job:1/0,max_attempts=2,backoff=[0.0])
                                         ~^~
ZeroDivisionError: division by zero
',NULL,1.7957040295250771e+09,17,'dead','');
INSERT INTO "lamplighter_jobs" VALUES(6,'retries-1','flaky','null','queued',0,1.79570762971978807e+09,1.79570402961579418e+09,'retries-1',1,1,1,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,1,0,1.79570402963581728e+09,0,3,NULL,0,NULL,'failed','ZeroDivisionError: division by zero','Traceback (most recent call last):
  File "/srv/lamplighter/lanes/calls.py", line 32, in _call
    result = handler.fn(lane.job())
             ^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/host.py", line 10, in <lambda>
    rt.jobs.add_handler(''flaky'',lambda job:1/0,max_attempts=5,backoff=[3600.0])
                                           ~^~
ZeroDivisionError: division by zero
',NULL,NULL,21,'queued','');
INSERT INTO "lamplighter_jobs" VALUES(7,'waits-1','later','null','queued',0,1795707629.67658,1795704029.67658,'waits-1',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,20,'queued','20@1795704029.676580');
INSERT INTO "lamplighter_jobs" VALUES(8,'waits-2','later','null','queued',0,1893456000.0,1.79570402982771706e+09,'waits-2',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,22,'queued','22@1795704029.827717');
INSERT INTO "lamplighter_jobs" VALUES(9,'cancelled-1','nobody','null','cancelled',0,1.79570402984768867e+09,1.79570402984768867e+09,'cancelled-1',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,NULL,'cancelled by the host',NULL,NULL,NULL,1.7957040298747828e+09,24,'cancelled','');
INSERT INTO "lamplighter_jobs" VALUES(10,'queued-1','nobody','{"x":[1,2,{"y":"\u00fc"}]}','queued',5,1.79570402990930032e+09,1.79570402990930032e+09,'queued-1',0,0,0,NULL,NULL,NULL,'key',NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,25,'queued','25@1795704029.909300');
INSERT INTO "lamplighter_jobs" VALUES(11,'expires-1','nobody','null','queued',0,1.79570402995584559e+09,1.79570402995584559e+09,'expires-1',0,0,0,NULL,NULL,1.79670402995584559e+09,NULL,NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,26,'queued','26@1795704029.955846');
INSERT INTO "lamplighter_jobs" VALUES(12,'866844f5b6d227b7-1795704030','quick','{"by":"schedule"}','done',0,1795704030.0,1.79570403003971767e+09,'866844f5b6d227b7-1795704030',1,1,1,NULL,NULL,NULL,NULL,'866844f5b6d227b7',1795704030.0,0,NULL,NULL,1,0,1.79570403003971767e+09,0,3,NULL,0,'{"n":{"by":"schedule"}}',NULL,NULL,NULL,NULL,1.79570403014838838e+09,30,'done','');
INSERT INTO "lamplighter_jobs" VALUES(13,'marked-1','nobody','null','done',0,1.79570403003188514e+09,1.79570403003188514e+09,'marked-1',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,'"own"',NULL,NULL,NULL,NULL,1.79570403294055366e+09,NULL,'queued','28@1795704030.031885');
INSERT INTO "lamplighter_jobs" VALUES(14,'running-1','hang','null','running',0,1.79570403017986083e+09,1.79570403017986083e+09,'running-1',0,1,0,NULL,NULL,NULL,NULL,NULL,NULL,0,'e07cef830678',1,1,0,1.79570403019312953e+09,0,3,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,32,'running','31@1795704030.179861,32@1795704030.193130');
INSERT INTO "lamplighter_jobs" VALUES(15,'paused-1','paused','null','queued',0,1.79570403030030512e+09,1.79570403030030512e+09,'paused-1',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,33,'queued','33@1795704030.300305');
INSERT INTO "lamplighter_jobs" VALUES(16,'866844f5b6d227b7-1795704031','quick','{"by":"schedule"}','done',0,1795704031.0,1.7957040310902431e+09,'866844f5b6d227b7-1795704031',1,1,1,NULL,NULL,NULL,NULL,'866844f5b6d227b7',1795704031.0,0,NULL,NULL,1,0,1.7957040310902431e+09,0,3,NULL,0,'{"n":{"by":"schedule"}}',NULL,NULL,NULL,NULL,1.79570403121681833e+09,36,'done','');
INSERT INTO "lamplighter_jobs" VALUES(17,'866844f5b6d227b7-1795704032','quick','{"by":"schedule"}','done',0,1795704032.0,1.79570403202840685e+09,'866844f5b6d227b7-1795704032',1,1,1,NULL,NULL,NULL,NULL,'866844f5b6d227b7',1795704032.0,0,NULL,NULL,1,0,1.79570403202840685e+09,0,3,NULL,0,'{"n":{"by":"schedule"}}',NULL,NULL,NULL,NULL,1.79570403218768811e+09,39,'done','');
INSERT INTO "lamplighter_jobs" VALUES(18,'uncounted-1','nobody','"mine"','queued',0,1.79570403293997192e+09,1.79570403293997192e+09,'uncounted-1',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'');
INSERT INTO "lamplighter_jobs" VALUES(19,'uncounted-2','nobody','null','done',0,1.79570403294039607e+09,1.79570403294039607e+09,'uncounted-2',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,0,0,NULL,0,NULL,NULL,0,'null',NULL,NULL,NULL,NULL,1.79570403294045925e+09,NULL,NULL,'');
CREATE TABLE lamplighter_pauses (name text primary key, paused_at real not null) strict;
INSERT INTO "lamplighter_pauses" VALUES('paused',1.79570403021625924e+09);
CREATE TABLE lamplighter_schedules (
          id text primary key, name text not null, "when" text not null, data text not null, timezone text not null,
          dst_gap text not null, dst_fold text not null, catch_up text not null, catch_up_window real not null,
          catch_up_max integer not null, overlap text not null, jitter real not null, durable integer not null,
          paused integer not null, accounted_to real not null, changed_at real not null, last_slot real,
          change_no integer not null
        ) strict;
INSERT INTO "lamplighter_schedules" VALUES('866844f5b6d227b7','quick','@every 1s','{"by":"schedule"}','UTC','run_after','first','latest',86400.0,100,'allow',0.0,0,0,1.79570403202791023e+09,1.79570402885272097e+09,1795704032.0,6);
INSERT INTO "lamplighter_schedules" VALUES('0570ffc750e55acf','quick','0 3 * * *','null','Europe/Berlin','run_after','first','latest',86400.0,100,'allow',0.0,0,0,1.79570402885272097e+09,1.79570402885272097e+09,NULL,2);
CREATE TABLE lamplighter_slots (
          schedule_id text not null, slot real not null, last real not null, count integer not null,
          outcome text not null, reason text, job_id text,
          primary key (schedule_id, slot)
        ) strict, without rowid;
INSERT INTO "lamplighter_slots" VALUES('866844f5b6d227b7',1795704029.0,1795704029.0,1,'fired',NULL,'866844f5b6d227b7-1795704029');
INSERT INTO "lamplighter_slots" VALUES('866844f5b6d227b7',1795704030.0,1795704030.0,1,'fired',NULL,'866844f5b6d227b7-1795704030');
INSERT INTO "lamplighter_slots" VALUES('866844f5b6d227b7',1795704031.0,1795704031.0,1,'fired',NULL,'866844f5b6d227b7-1795704031');
INSERT INTO "lamplighter_slots" VALUES('866844f5b6d227b7',1795704032.0,1795704032.0,1,'fired',NULL,'866844f5b6d227b7-1795704032');
CREATE TABLE lamplighter_store (
          one integer primary key check (one = 1), schema_version integer not null, rev integer not null,
          change_no integer not null
        ) strict;
INSERT INTO "lamplighter_store" VALUES(1,1,39,6);
CREATE INDEX lamplighter_jobs_due on lamplighter_jobs (name, priority desc, run_at, no)
           where state = 'queued';
CREATE INDEX lamplighter_jobs_running on lamplighter_jobs (name, boot) where state = 'running';
CREATE UNIQUE INDEX lamplighter_jobs_unique on lamplighter_jobs (name, unique_key)
           where unique_key is not null and state in ('queued', 'running');
CREATE INDEX lamplighter_jobs_untold on lamplighter_jobs (no) where rev is null;
CREATE INDEX lamplighter_jobs_ended on lamplighter_jobs (state, ended_at) where ended_at is not null;
CREATE INDEX lamplighter_jobs_expiring on lamplighter_jobs (expires_at)
           where state = 'queued' and expires_at is not null;
CREATE INDEX lamplighter_jobs_suspect on lamplighter_jobs (name, suspect_until)
           where state = 'queued' and suspect_until is not null;
CREATE INDEX lamplighter_jobs_schedule on lamplighter_jobs (schedule, state)
           where schedule is not null and state in ('queued', 'running');
CREATE INDEX lamplighter_schedules_changes on lamplighter_schedules (change_no);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('lamplighter_jobs',19);
COMMIT;
