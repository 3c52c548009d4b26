-- The launcher's database: which machine is due, and an account that may only read.
DROP DATABASE IF EXISTS launcher_demo;
CREATE DATABASE launcher_demo;
CREATE TABLE launcher_demo.launcher (
    id         int AUTO_INCREMENT PRIMARY KEY,
    vm_name    varchar(64) NOT NULL,
    status     varchar(16) NOT NULL,
    who        varchar(64) NOT NULL,
    start_time datetime    NOT NULL
);
INSERT INTO launcher_demo.launcher (vm_name, status, who, start_time) VALUES ('pg1', 'due', 'dba', sysdate());
CREATE OR REPLACE USER 'timesweep'@'%' IDENTIFIED BY 'read-only';
CREATE OR REPLACE USER 'timesweep'@'localhost' IDENTIFIED BY 'read-only';
GRANT SELECT ON launcher_demo.* TO 'timesweep'@'%', 'timesweep'@'localhost';
