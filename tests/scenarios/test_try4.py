import subprocess
from tests.scenarios.test_runbooks import *
def show(node, *cmd):
    r=node.cli(*cmd, check=False)
    print(f"{node.name}# syncer {' '.join(cmd)}   [{r.returncode}]"); print("  OUT:"+r.stdout.replace("\n","\n  OUT:")); print("  ERR:"+r.stderr.replace("\n","\n  ERR:"))
def test_a(pair, tmp_path):
    p,d=pair.production,pair.failover
    show(p,"status"); show(d,"status")
    show(d,"promote","--drill"); show(d,"promote","--yes"); show(d,"status"); show(p,"status"); show(d,"procedure"); show(d,"reverse","--yes"); show(p,"status")
def test_b(pair,tmp_path):
    p,d=pair.production,pair.failover
    p.put("late","x"); p.kill(); show(d,"status"); show(d,"promote","--yes"); show(d,"promote","--force","--yes"); show(d,"status")
    (d.root/"nginx.conf").write_text("new 198.51.100.10;\n"); (p.root/"nginx.conf").write_text("edited 192.0.2.10;\n"); (p.root/"unsent.conf").write_text("x\n")
    p.start(); 
    from tests.e2e.harness import wait_until
    wait_until(lambda: p.status()["mode"]=="fenced",60,"x")
    show(p,"status"); show(d,"status"); show(d,"reverse","--plan",str(tmp_path/"plan")); print((tmp_path/"plan").read_text()); show(d,"reverse","--apply",str(tmp_path/"plan"),"--yes"); show(p,"status"); show(p, "history"); show(d,"procedure")
